"""Failures of a command, in words that say what to do."""


class CommandFailed(Exception):
    """The command could not do what was asked; the text is for people, and ends the command with exit code 1."""


def words(error: Exception) -> str:
    """What to tell people of an error; empty for a fault of ours, which shows where it happened."""
    from boxfleet.app import access, issuers, owning, pki, secret_keys, settings, supervision, yaml_files
    from boxfleet.client import errors
    from boxfleet.store import errors as store_errors

    if isinstance(error, errors.ApiError):
        return error.message
    if isinstance(error, PermissionError):
        return f"{error.filename}: permission denied; run it again with sudo"
    told = (
        CommandFailed,
        settings.SettingsError,
        access.NoAccess,
        owning.NotOursError,
        store_errors.StoreError,
        supervision.SupervisionError,
        pki.PkiError,
        secret_keys.KeyFileError,
        issuers.IssuersError,
        yaml_files.FileError,
    )
    return str(error) if isinstance(error, told) else ""
