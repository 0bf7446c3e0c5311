"""The commands and their options. Each imports what it needs when it runs."""

import sys
from typing import Annotated

import typer

from boxfleet.cli import cluster_commands, options

app = typer.Typer(
    name="boxfleet",
    help="One control plane for applications on hosts, Kubernetes, Docker and virtual machines.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
images = typer.Typer(help="Images of this machine, and building them from recipes.", no_args_is_help=True)
app.add_typer(images, name="image")
secrets = typer.Typer(help="How Secrets lie in the database.", no_args_is_help=True)
app.add_typer(secrets, name="secrets")
users = typer.Typer(help="Users with a password, for machines without another issuer.", no_args_is_help=True)
app.add_typer(users, name="user")
nodes = typer.Typer(help="Machines that run instances.", no_args_is_help=True)
app.add_typer(nodes, name="node")
servers = typer.Typer(help="Servers that share one store.", no_args_is_help=True)
app.add_typer(servers, name="server")
authority = typer.Typer(help="The own certification authority.", no_args_is_help=True)
app.add_typer(authority, name="ca")
stores = typer.Typer(help="Where this Boxfleet keeps its objects.", no_args_is_help=True)
app.add_typer(stores, name="store")
tokens = typer.Typer(help="How tokens of ServiceAccounts are signed.", no_args_is_help=True)
app.add_typer(tokens, name="tokens")

records = typer.Typer(help="Who did what, when, from where.", invoke_without_command=True)
app.add_typer(records, name="audit")

app.add_typer(cluster_commands.clusters, name="cluster")
app.command("why")(cluster_commands.why)
app.command("rebalance")(cluster_commands.rebalance)
app.command("install")(cluster_commands.install)
app.command("uninstall")(cluster_commands.uninstall)
app.command("controllers")(cluster_commands.controllers)

tenants = typer.Typer(help="Who shares the fleet, with which rights and quotas.", no_args_is_help=True)
app.add_typer(tenants, name="tenant")

PasswordFile = Annotated[
    str, typer.Option("--password-file", help="File whose first line is the password; it is asked for otherwise.")
]
Namespace = Annotated[str, typer.Option("--namespace", "-n", help="Only this namespace.")]


@app.command()
def up(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FILE|DIR]...",
            help="What to deliver: files of objects, a compose.yaml, folders, or - (piped). Without any, just start.",
        ),
    ] = None,
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", help="Where what names no namespace goes.")
    ] = "default",
    timeout: Annotated[int, typer.Option("--timeout", min=1, help="Seconds to wait until all is Ready.")] = 600,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until all is Ready.")] = True,
    listen: Annotated[str | None, typer.Option(help="Where the API listens.")] = None,
    port: Annotated[int | None, typer.Option(help="The API's port.")] = None,
    node: Annotated[str | None, typer.Option(help="Name of this machine's Node; fixed by the first start.")] = None,
    cidr: Annotated[
        str | None, typer.Option(help="Network of the first AddressPool; fixed by the first start.")
    ] = None,
    bridge: Annotated[str | None, typer.Option(help="Bridge of that pool; fixed by the first start.")] = None,
    domain: Annotated[str | None, typer.Option(help="Suffix of domain names; fixed by the first start.")] = None,
    names: Annotated[str | None, typer.Option(help="More names of the server, separated by commas.")] = None,
    cgroup_parent: Annotated[
        str | None, typer.Option(help="Parent cgroup of all instances; fixed by the first start.")
    ] = None,
    image_cache: Annotated[str | None, typer.Option(help="Folder of built images.")] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
    join: Annotated[
        str, typer.Option("--join", help="URL of a server to share the store of, as boxfleet server token says it.")
    ] = "",
    authority_hash: Annotated[
        str, typer.Option("--authority", help="Hash by which that server's authority is known.")
    ] = "",
    token_file: Annotated[
        str,
        typer.Option(
            "--token-file", help="File whose first line is the token, - for what is piped; asked for otherwise."
        ),
    ] = "",
    otherwise: Annotated[
        str, typer.Option("--otherwise", hidden=True, help="What to deliver when nothing is named and nobody joined.")
    ] = "",
    state: options.State = None,
    run: options.Run = None,
    output: options.Output = options.Format.TEXT,
) -> None:
    """Start Boxfleet on this machine and deliver files; harmless when repeated."""
    from boxfleet.cli import up as implementation

    if bool(join) != bool(authority_hash) or (token_file and not join):
        raise typer.BadParameter("--join and --authority go together, and --token-file with them")

    known = options.known(
        state,
        run,
        listen=listen,
        port=port,
        node=node,
        cidr=cidr,
        bridge=bridge,
        domain=domain,
        names=names,
        cgroup_parent=cgroup_parent,
        image_cache=image_cache,
        log_level=log_level,
    )
    joined = implementation.Join(url=join, authority=authority_hash, token_file=token_file) if join else None
    if not files:
        # What a further server shares has been delivered.
        files = [otherwise] if otherwise and known.serves and not join else []
    wish = implementation.Wish(join=joined, files=tuple(files), namespace=namespace, timeout=timeout, wait=wait)
    raise typer.Exit(implementation.run(known, wish, output))


@app.command()
def down(
    purge: Annotated[bool, typer.Option("--purge", help="Leave the machine as it was found; data is lost.")] = False,
    state: options.State = None,
    run: options.Run = None,
) -> None:
    """Stop Boxfleet and all instances; state stays unless it is purged."""
    from boxfleet.cli import down as implementation

    raise typer.Exit(implementation.run(state, run, purge=purge))


@app.command()
def status(
    kubeconfig: options.Kubeconfig = None,
    state: options.State = None,
    run: options.Run = None,
    output: options.Output = options.Format.TEXT,
) -> None:
    """Say what is well, what is not, and why; exit code 1 when something is not."""
    from boxfleet.cli import status as implementation

    raise typer.Exit(implementation.run(options.known(state, run), output, kubeconfig=kubeconfig))


@app.command()
def tree(
    namespace: Namespace = "",
    kubeconfig: options.Kubeconfig = None,
    state: options.State = None,
    run: options.Run = None,
    output: options.Output = options.Format.TEXT,
) -> None:
    """Show Boxes, their Units and instances, with node, address, age and restarts."""
    from boxfleet.cli import tree as implementation

    raise typer.Exit(implementation.run(options.known(state, run), output, namespace=namespace, kubeconfig=kubeconfig))


@app.command()
def doctor(state: options.State = None, run: options.Run = None, output: options.Output = options.Format.TEXT) -> None:
    """Say what this machine lacks, with the command that mends it."""
    from boxfleet.cli import doctor as implementation

    raise typer.Exit(implementation.run(options.known(state, run), output))


@records.callback()
def audit(
    context: typer.Context,
    user: Annotated[str, typer.Option(help="Who did it, or in whose name.")] = "",
    tenant: Annotated[str, typer.Option(help="Whose namespace it was.")] = "",
    namespace: Namespace = "",
    verb: Annotated[str, typer.Option(help="Such as create, patch or delete.")] = "",
    resource: Annotated[str, typer.Option(help="Such as secrets or pods/exec.")] = "",
    name: Annotated[str, typer.Option(help="Name of the object.")] = "",
    since: Annotated[str, typer.Option(help="30m, 2h or 7d ago, or a time such as 2030-01-31T12:00:00Z.")] = "",
    until: Annotated[str, typer.Option(help="Up to then, in the same words.")] = "",
    denied: Annotated[bool, typer.Option("--denied", help="Only what was refused.")] = False,
    limit: Annotated[int, typer.Option(min=0, help="As many of the newest; 0 is all.")] = 0,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is recorded from now on.")] = False,
    kubeconfig: options.Kubeconfig = None,
    state: options.State = None,
    run: options.Run = None,
    output: Annotated[options.Lines, typer.Option("--output", "-o", help="table, json, yaml or jsonl.")] = (
        options.Lines.TABLE
    ),
) -> None:
    """Say who did what, when, from where; reads this machine's files, also those set aside."""
    if context.invoked_subcommand is not None:
        return
    from boxfleet.cli import audit as implementation

    wanted = {"user": user, "tenant": tenant, "namespace": namespace, "verb": verb, "resource": resource, "name": name}
    given = {key: value for key, value in (wanted | {"since": since, "until": until}).items() if value}
    given |= {"denied": "true"} if denied else {}
    given |= {"limit": str(limit)} if limit else {}
    known = options.known(state, run)
    raise typer.Exit(implementation.run(known, output, given, follow=follow, kubeconfig=kubeconfig))


@records.command("replay")
def audit_replay(
    recording: Annotated[str, typer.Argument(help="What boxfleet.dev/recording says in a record.")],
    pause: Annotated[float, typer.Option("--pause", min=0, help="Longest pause in seconds.")] = 2.0,
    original: Annotated[bool, typer.Option("--original", help="Pauses as they were.")] = False,
    state: options.State = None,
    run: options.Run = None,
) -> None:
    """Play a recorded session on this terminal."""
    from boxfleet.cli import replay

    raise typer.Exit(replay.run(options.known(state, run), recording, longest=None if original else pause))


def _say_version(wanted: bool) -> None:
    if wanted:
        version()
        raise typer.Exit


@app.callback()
def program(
    wanted: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Say which Boxfleet this is.")
    ] = False,
) -> None:
    """One control plane for applications on hosts, Kubernetes, Docker and virtual machines."""


@app.command()
def version(output: options.Output = options.Format.TEXT) -> None:
    """Say which Boxfleet this is."""
    import boxfleet
    from boxfleet.cli import output as out

    if output is options.Format.TEXT:
        out.say(f"boxfleet {boxfleet.__version__}")
    else:
        out.data({"version": boxfleet.__version__}, output)


@app.command()
def completion(shell: Annotated[options.Shell, typer.Argument(help="Your shell.")]) -> None:
    """Print what completes this command's words: source <(boxfleet completion bash)."""
    from typer import completion as typers

    from boxfleet.cli import output as out

    make = typers.get_completion_script  # type: ignore[attr-defined]  # typer names it nowhere else
    out.say(make(prog_name="boxfleet", complete_var="_BOXFLEET_COMPLETE", shell=shell.value).strip())


@images.command("build")
def image_build(
    recipe: Annotated[list[str], typer.Argument(help="Recipe files, or folders of them.")],
    refresh: Annotated[bool, typer.Option("--refresh", help="Build anew if newer packages are there.")] = False,
    load: Annotated[bool, typer.Option("--import/--no-import", help="Import into this machine's node.")] = True,
    state: options.State = None,
    run: options.Run = None,
    output: options.Output = options.Format.TEXT,
) -> None:
    """Build images from Debian packages and import them, if Boxfleet runs here."""
    from boxfleet.cli import image

    raise typer.Exit(image.build(options.known(state, run), recipe, refresh=refresh, load=load, form=output))


@images.command("import")
def image_import(
    archive: Annotated[list[str], typer.Argument(help="OCI archives.")],
    state: options.State = None,
    run: options.Run = None,
    output: options.Output = options.Format.TEXT,
) -> None:
    """Import OCI archives into this machine's node."""
    from boxfleet.cli import image

    raise typer.Exit(image.load(options.known(state, run), archive, form=output))


@images.command("list")
def image_list(
    state: options.State = None, run: options.Run = None, output: options.Output = options.Format.TEXT
) -> None:
    """List the images of this machine's node."""
    from boxfleet.cli import image

    raise typer.Exit(image.show(options.known(state, run), form=output))


@images.command("remove")
def image_remove(
    reference: Annotated[list[str], typer.Argument(help="Names of images.")],
    state: options.State = None,
    run: options.Run = None,
) -> None:
    """Remove images from this machine's node."""
    from boxfleet.cli import image

    raise typer.Exit(image.remove(options.known(state, run), reference))


@tenants.command("create")
def tenant_create(
    name: Annotated[str, typer.Argument(help="The Tenant's name.")],
    space: Annotated[
        list[str] | None, typer.Option("--namespace", "-n", help="A Namespace to make; more than once for more.")
    ] = None,
    member: Annotated[
        list[str] | None,
        typer.Option(help="NAME=ROLE, or group:NAME=ROLE; roles are tenant-admin, developer, viewer and auditor."),
    ] = None,
    quota: Annotated[
        list[str] | None, typer.Option(help="RESOURCE=AMOUNT over all Namespaces, for example cpu=8 or instances=20.")
    ] = None,
    kubeconfig: options.Kubeconfig = None,
    state: options.State = None,
    run: options.Run = None,
) -> None:
    """Make a Tenant; `kubectl apply` of a file can say more."""
    from boxfleet.cli import tenant

    known = options.known(state, run)
    code = tenant.create(
        known, name, namespaces=space or (), members=member or (), quota=quota or (), kubeconfig=kubeconfig
    )
    raise typer.Exit(code)


@tenants.command("list")
def tenant_list(
    kubeconfig: options.Kubeconfig = None,
    state: options.State = None,
    run: options.Run = None,
    output: options.Output = options.Format.TEXT,
) -> None:
    """List Tenants and what they use."""
    from boxfleet.cli import tenant

    raise typer.Exit(tenant.show_all(options.known(state, run), output, kubeconfig=kubeconfig))


@tenants.command("show")
def tenant_show(
    name: Annotated[str, typer.Argument(help="The Tenant's name.")],
    kubeconfig: options.Kubeconfig = None,
    state: options.State = None,
    run: options.Run = None,
    output: options.Output = options.Format.TEXT,
) -> None:
    """Show a Tenant: Namespaces, members, what is used of its quota."""
    from boxfleet.cli import tenant

    raise typer.Exit(tenant.show(options.known(state, run), name, output, kubeconfig=kubeconfig))


@secrets.command("rotate")
def secrets_rotate(state: options.State = None, run: options.Run = None) -> None:
    """Encrypt all Secrets anew under a new key; the server starts anew with it, instances go on."""
    from boxfleet.cli import keys

    raise typer.Exit(keys.rotate_secrets(options.known(state, run)))


@stores.command("move")
def store_move(
    to: Annotated[
        str,
        typer.Option("--to", help="postgresql://USER@HOST/DATABASE, without a password, or sqlite for the own file."),
    ],
    password_file: Annotated[
        str, typer.Option("--password-file", help="File with the database's password, readable by its owner only.")
    ] = "",
    state: options.State = None,
    run: options.Run = None,
) -> None:
    """Bring all objects, with revisions, uids and history, to an empty store; Boxfleet must be down."""
    from boxfleet.cli import store

    raise typer.Exit(store.move(options.known(state, run), to=to, password_file=password_file))


@app.command()
def backup(
    file: Annotated[str, typer.Argument(help="A new file, which only its owner will read: it holds Secrets.")],
    state: options.State = None,
    run: options.Run = None,
    output: options.Output = options.Format.TEXT,
) -> None:
    """Write all objects, as they are at one revision, and their history to a file; servers go on meanwhile."""
    from boxfleet.cli import store

    raise typer.Exit(store.backup(options.known(state, run), file, output))


@app.command()
def restore(
    file: Annotated[str, typer.Argument(help="What `boxfleet backup` wrote.")],
    revision: Annotated[
        int | None, typer.Option("--revision", min=0, help="An earlier state that the file holds; default its newest.")
    ] = None,
    state: options.State = None,
    run: options.Run = None,
    output: options.Output = options.Format.TEXT,
) -> None:
    """Fill an empty store from a backup; Boxfleet must be down."""
    from boxfleet.cli import store

    raise typer.Exit(store.restore(options.known(state, run), file, revision, output))


@tokens.command("rotate")
def tokens_rotate(
    revoke: Annotated[bool, typer.Option("--revoke", help="End all tokens of ServiceAccounts at once.")] = False,
    state: options.State = None,
    run: options.Run = None,
) -> None:
    """Sign tokens of ServiceAccounts with a new key; those that are in use go on until they end."""
    from boxfleet.cli import keys

    raise typer.Exit(keys.rotate_tokens(options.known(state, run), revoke=revoke))


@nodes.command("token")
def node_token(
    uses: Annotated[int, typer.Option("--uses", min=1, help="How many agents may join with it.")] = 1,
    minutes: Annotated[int, typer.Option("--minutes", min=1, help="How long it is good.")] = 60,
    node: Annotated[str, typer.Option("--node", help="The only Node that may join with it; any when empty.")] = "",
    kubeconfig: options.Kubeconfig = None,
    state: options.State = None,
    run: options.Run = None,
    output: options.Output = options.Format.TEXT,
) -> None:
    """Print the line by which another machine joins as a host: its token is said once and kept hashed."""
    from boxfleet.cli import keys

    known = options.known(state, run)
    raise typer.Exit(keys.node_token(known, uses=uses, minutes=minutes, node=node, form=output, kubeconfig=kubeconfig))


@nodes.command("join")
def node_join(
    url: Annotated[str, typer.Argument(metavar="URL", help="The server, as boxfleet node token says it.")],
    authority_hash: Annotated[str, typer.Option("--authority", help="Hash by which its authority is known.")],
    token_file: Annotated[
        str,
        typer.Option(
            "--token-file", help="File whose first line is the token, - for what is piped; asked for otherwise."
        ),
    ] = "",
    node: Annotated[str | None, typer.Option(help="Name of this machine's Node; fixed by the first start.")] = None,
    cgroup_parent: Annotated[
        str | None, typer.Option(help="Parent cgroup of all instances; fixed by the first start.")
    ] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
    state: options.State = None,
    run: options.Run = None,
) -> None:
    """Make this machine a host of that server: an agent, its containerd and its network; harmless when repeated."""
    from boxfleet.cli import join

    known = options.known(state, run, node=node, cgroup_parent=cgroup_parent, log_level=log_level)
    raise typer.Exit(join.run(known, url=url, authority=authority_hash, token_file=token_file))


NodeTimeout = Annotated[int, typer.Option("--timeout", min=1, help="Seconds to wait until everything has left.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would leave.")]


@nodes.command("list")
def node_list(
    kubeconfig: options.Kubeconfig = None,
    state: options.State = None,
    run: options.Run = None,
    output: options.Output = options.Format.TEXT,
) -> None:
    """List the hosts, with how they are and how many instances each has."""
    from boxfleet.cli import nodes as implementation

    raise typer.Exit(implementation.show_all(options.known(state, run), output, kubeconfig=kubeconfig))


@nodes.command("cordon")
def node_cordon(
    names: Annotated[list[str], typer.Argument(metavar="NODE...")],
    kubeconfig: options.Kubeconfig = None,
    state: options.State = None,
    run: options.Run = None,
    output: options.Output = options.Format.TEXT,
) -> None:
    """Keep new instances off nodes; those that are there stay."""
    from boxfleet.cli import nodes as implementation

    known = options.known(state, run)
    raise typer.Exit(implementation.mark(known, names, unschedulable=True, form=output, kubeconfig=kubeconfig))


@nodes.command("uncordon")
def node_uncordon(
    names: Annotated[list[str], typer.Argument(metavar="NODE...")],
    kubeconfig: options.Kubeconfig = None,
    state: options.State = None,
    run: options.Run = None,
    output: options.Output = options.Format.TEXT,
) -> None:
    """Let new instances come to nodes again."""
    from boxfleet.cli import nodes as implementation

    known = options.known(state, run)
    raise typer.Exit(implementation.mark(known, names, unschedulable=False, form=output, kubeconfig=kubeconfig))


@nodes.command("drain")
def node_drain(
    name: Annotated[str, typer.Argument(metavar="NODE")],
    force: Annotated[bool, typer.Option("--force", help="Delete also Pods that nothing makes again.")] = False,
    timeout: NodeTimeout = 300,
    dry_run: DryRun = False,
    kubeconfig: options.Kubeconfig = None,
    state: options.State = None,
    run: options.Run = None,
    output: options.Output = options.Format.TEXT,
) -> None:
    """Move every instance off a node, as fast as disruption budgets allow; it takes no new ones until uncordoned."""
    from boxfleet.cli import nodes as implementation

    known = options.known(state, run)
    raise typer.Exit(
        implementation.drain(
            known, name, force=force, dry_run=dry_run, timeout=timeout, form=output, kubeconfig=kubeconfig
        )
    )


@nodes.command("remove")
def node_remove(
    name: Annotated[str, typer.Argument(metavar="NODE")],
    force: Annotated[bool, typer.Option("--force", help="Without draining it, as when the host is gone.")] = False,
    timeout: NodeTimeout = 300,
    dry_run: DryRun = False,
    kubeconfig: options.Kubeconfig = None,
    state: options.State = None,
    run: options.Run = None,
    output: options.Output = options.Format.TEXT,
) -> None:
    """Drain a node and take it from the fleet: its certificate ends, and it comes back by a new token only."""
    from boxfleet.cli import nodes as implementation

    known = options.known(state, run)
    raise typer.Exit(
        implementation.remove(
            known, name, force=force, dry_run=dry_run, timeout=timeout, form=output, kubeconfig=kubeconfig
        )
    )


@servers.command("token")
def server_token(
    minutes: Annotated[int, typer.Option("--minutes", min=1, max=60, help="How long it is good.")] = 15,
    kubeconfig: options.Kubeconfig = None,
    state: options.State = None,
    run: options.Run = None,
) -> None:
    """Print the line by which one other machine joins as a server: it is said once, and gives away all keys."""
    from boxfleet.cli import keys

    raise typer.Exit(keys.server_token(options.known(state, run), minutes=minutes, kubeconfig=kubeconfig))


@authority.command("rotate")
def authority_rotate(
    finish: Annotated[
        bool, typer.Option("--finish", help="Drop the old authority, once all clients know the new one.")
    ] = False,
    state: options.State = None,
    run: options.Run = None,
) -> None:
    """Make a new certification authority beside the old one, then put it in its place."""
    from boxfleet.cli import keys

    raise typer.Exit(keys.rotate_authority(options.known(state, run), finish=finish))


@users.command("add")
def user_add(
    name: Annotated[str, typer.Argument(help="Who it is.")],
    group: Annotated[list[str] | None, typer.Option("--group", help="A group that he is in; may be repeated.")] = None,
    password_file: PasswordFile = "",
    kubeconfig: options.Kubeconfig = None,
    state: options.State = None,
    run: options.Run = None,
) -> None:
    """Make a user with a password, who may do what roles are bound to him."""
    from boxfleet.cli import users

    known = options.known(state, run)
    raise typer.Exit(users.add(known, name, groups=group or [], password_file=password_file, kubeconfig=kubeconfig))


@users.command("password")
def user_password(
    name: Annotated[str, typer.Argument(help="Who it is.")],
    password_file: PasswordFile = "",
    kubeconfig: options.Kubeconfig = None,
    state: options.State = None,
    run: options.Run = None,
) -> None:
    """Give a user another password, which ends what he is logged in with."""
    from boxfleet.cli import users

    known = options.known(state, run)
    raise typer.Exit(users.password(known, name, password_file=password_file, kubeconfig=kubeconfig))


@users.command("list")
def user_list(
    kubeconfig: options.Kubeconfig = None,
    state: options.State = None,
    run: options.Run = None,
    output: options.Output = options.Format.TEXT,
) -> None:
    """List users with a password, and their groups."""
    from boxfleet.cli import users

    raise typer.Exit(users.show(options.known(state, run), output, kubeconfig=kubeconfig))


@users.command("remove")
def user_remove(
    name: Annotated[str, typer.Argument(help="Who it is.")],
    kubeconfig: options.Kubeconfig = None,
    state: options.State = None,
    run: options.Run = None,
) -> None:
    """Remove a user, which ends what he is logged in with."""
    from boxfleet.cli import users

    raise typer.Exit(users.remove(options.known(state, run), name, kubeconfig=kubeconfig))


@users.command("login")
def user_login(
    name: Annotated[str, typer.Argument(help="Who you are.")],
    file: Annotated[str, typer.Argument(help="The kubeconfig to write; only its owner will read it.")],
    server: Annotated[str, typer.Option("--server", help="URL of the API; default the one on this machine.")] = "",
    authority: Annotated[
        str, typer.Option("--certificate-authority", help="File of the API's authority; default the one here.")
    ] = "",
    password_file: PasswordFile = "",
    state: options.State = None,
    run: options.Run = None,
) -> None:
    """Log in with a password, and write a kubeconfig that is good for some hours."""
    from boxfleet.cli import users

    known = options.known(state, run)
    raise typer.Exit(users.login(known, name, file, server=server, authority=authority, password_file=password_file))


def run() -> int:
    """Run the command that the arguments name; the exit code."""
    try:
        # The name counts for completion, however the command was started.
        app(prog_name="boxfleet")
    except SystemExit as ended:
        return int(ended.code or 0)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has had enough.
        sys.stderr.close()
        return 0
    except Exception as error:
        from boxfleet.cli import faults

        words = faults.words(error)
        if not words:
            raise
        sys.stderr.write(f"boxfleet: {words}\n")
        return 1
    return 0
