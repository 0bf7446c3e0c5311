"""What a registry said, and what to do about it."""

import pytest

from boxfleet.planning import advice, pull_secrets, pull_words

IMAGE = "r.example.org:5000/team/app:1"
FRAME = (
    f'cannot pull image {IMAGE}: rpc error: code = Unknown desc = failed to pull and unpack image "{IMAGE}": '
    f'failed to resolve reference "{IMAGE}": '
)
NONE = pull_secrets.Keys()


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("failed to do request: dial tcp 10.0.0.1:5000: connect: connection refused", "see whether the registry"),
        ("pulling from host r.example.org:5000 failed with status code [manifests 1]: 503", "see whether the registry"),
        ("invalid reference format: repository name must be lowercase", "correct `image`: NAME:TAG"),
        ("dial tcp: lookup r.example.org: no such host", "no name server knows r.example.org:5000"),
        (f"{IMAGE}: not found", "push the image to r.example.org:5000"),
        ("http: server gave HTTP response to HTTPS client", "r.example.org:5000 speaks plain HTTP: say so in STATE/"),
        ("failed with status code [manifests 1]: 400 Bad Request", "r.example.org:5000 may speak HTTPS"),
        ("x509: certificate signed by unknown authority", "name the authority"),
        ("failed with status code [manifests 1]: 401 Unauthorized", "r.example.org:5000 wants a password: kubectl"),
        ("pull access denied, repository does not exist or may require authorization", "r.example.org:5000 wants"),
    ],
)
def test_the_registrys_words_come_with_a_remedy(said: str, remedy: str) -> None:
    words = pull_words.explain(IMAGE, FRAME + said, NONE)
    assert words.startswith(f"cannot pull image {IMAGE}: {said.removeprefix('failed to do request: ')}; {remedy}")


def test_the_advice_of_status_does_not_compete_with_the_remedy() -> None:
    denied = pull_words.explain(IMAGE, FRAME + "401 Unauthorized", NONE)
    assert advice.of("ErrImagePull", denied) == ""
    absent = pull_words.explain(IMAGE, FRAME + f"{IMAGE}: not found", NONE)
    assert "boxfleet image import FILE" in advice.of("ImagePullBackOff", absent)


def test_a_fault_of_another_kind_is_told_as_it_is() -> None:
    assert pull_words.explain(IMAGE, FRAME + "no space left on device", NONE) == (
        f"cannot pull image {IMAGE}: no space left on device"
    )


def test_a_refused_password_names_its_secret_and_nothing_of_it() -> None:
    keys = pull_secrets.Keys(credentials=(pull_secrets.Credential(username="u", password="hidden", secret="login"),))
    words = pull_words.explain(IMAGE, FRAME + "401 Unauthorized", keys)
    assert "refuses the name and password of Secret login" in words
    assert "hidden" not in words
    useless = pull_secrets.Keys(faults=("Secret login of imagePullSecrets is not there",))
    assert pull_words.explain(IMAGE, "401 Unauthorized", useless).endswith(
        "Secret login of imagePullSecrets is not there"
    )
