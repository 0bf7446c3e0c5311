"""The commands about clusters, and their options. Each imports what it needs when it runs."""

from typing import Annotated, Any

import typer

from boxfleet.cli import options

clusters = typer.Typer(
    help="Places that run instances: hosts, Kubernetes clusters, Docker engines.", no_args_is_help=True
)
joining = typer.Typer(help="Join a cluster that is there already; it is used as it is.", no_args_is_help=True)
clusters.add_typer(joining, name="join")

DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what is missing, and change nothing.")]
Force = Annotated[bool, typer.Option("--force", help="Join it although something is missing.")]
Label = Annotated[
    list[str] | None,
    typer.Option("--label", help="A label, such as topology.kubernetes.io/zone=east; may be repeated."),
]
Cost = Annotated[float, typer.Option("--cost", min=0, help="What a CPU costs there, in the same unit for all.")]
Tenants = Annotated[list[str] | None, typer.Option("--tenant", help="Only for this Tenant; may be repeated.")]
Via = Annotated[str | None, typer.Option("--via", help="Ask Boxfleet's API with this kubeconfig, also from elsewhere.")]


@joining.command("kubernetes")
def join_kubernetes(
    kubeconfig: Annotated[str, typer.Option("--kubeconfig", help="The kubeconfig of the cluster that joins.")],
    name: Annotated[str, typer.Option("--name", help="Its name here; default its name in the kubeconfig.")] = "",
    context: Annotated[str, typer.Option("--context", help="Context of the kubeconfig; default the current one.")] = "",
    namespace_prefix: Annotated[
        str, typer.Option("--namespace-prefix", help="Put before the names of Namespaces there.")
    ] = "",
    adopt_namespaces: Annotated[
        bool, typer.Option("--adopt-namespaces", help="Use Namespaces that are there already.")
    ] = False,
    storage_class: Annotated[str, typer.Option("--storage-class", help="For claims; default its own default.")] = "",
    label: Label = None,
    cost: Cost = 0.0,
    tenant: Tenants = None,
    dry_run: DryRun = False,
    force: Force = False,
    output: options.Output = options.Format.TEXT,
    via: Via = None,
    state: options.State = None,
    run: options.Run = None,
) -> None:
    """Join a Kubernetes cluster. `boxfleet cluster rbac` prints the rights that the kubeconfig needs."""
    from boxfleet.cli import cluster

    access = {
        "namespacePrefix": namespace_prefix,
        "adoptNamespaces": adopt_namespaces,
        "storageClass": storage_class,
    }
    raise typer.Exit(
        cluster.join_kubernetes(
            options.known(state, run),
            name=name,
            kubeconfig=kubeconfig,
            context=context,
            spec=_spec(cost, tenant) | {"kubernetes": access},
            words=label or [],
            dry_run=dry_run,
            force=force,
            form=output,
            via=via,
        )
    )


@joining.command("docker")
def join_docker(
    host: Annotated[
        str, typer.Option("--host", help="unix:///var/run/docker.sock, or tcp://HOST:2376 with --certificates.")
    ] = "unix:///var/run/docker.sock",
    name: Annotated[str, typer.Option("--name", help="Its name here.")] = "docker",
    certificates: Annotated[
        str, typer.Option("--certificates", help="Folder with ca.pem, cert.pem and key.pem, for tcp://.")
    ] = "",
    network: Annotated[
        str, typer.Option("--network", help="The engine's network for instances; default one of Boxfleet's own.")
    ] = "",
    label: Label = None,
    cost: Cost = 0.0,
    tenant: Tenants = None,
    dry_run: DryRun = False,
    force: Force = False,
    output: options.Output = options.Format.TEXT,
    via: Via = None,
    state: options.State = None,
    run: options.Run = None,
) -> None:
    """Join a Docker engine, or the Swarm that it manages."""
    from boxfleet.cli import cluster

    raise typer.Exit(
        cluster.join_docker(
            options.known(state, run),
            name=name,
            certificates=certificates,
            spec=_spec(cost, tenant) | {"docker": {"host": host, "network": network}},
            words=label or [],
            dry_run=dry_run,
            force=force,
            form=output,
            via=via,
        )
    )


@clusters.command("list")
def cluster_list(
    kubeconfig: options.Kubeconfig = None,
    state: options.State = None,
    run: options.Run = None,
    output: options.Output = options.Format.TEXT,
) -> None:
    """List clusters: version, hosts, what is used, how far away they are."""
    from boxfleet.cli import cluster

    raise typer.Exit(cluster.show_all(options.known(state, run), output, kubeconfig=kubeconfig))


@clusters.command("cordon")
def cluster_cordon(
    name: Annotated[str, typer.Argument(help="Which cluster.")],
    kubeconfig: options.Kubeconfig = None,
    state: options.State = None,
    run: options.Run = None,
) -> None:
    """Place nothing new on a cluster."""
    from boxfleet.cli import cluster

    raise typer.Exit(cluster.mark(options.known(state, run), name, unschedulable=True, kubeconfig=kubeconfig))


@clusters.command("uncordon")
def cluster_uncordon(
    name: Annotated[str, typer.Argument(help="Which cluster.")],
    kubeconfig: options.Kubeconfig = None,
    state: options.State = None,
    run: options.Run = None,
) -> None:
    """Let new instances be placed on a cluster again."""
    from boxfleet.cli import cluster

    raise typer.Exit(cluster.mark(options.known(state, run), name, unschedulable=False, kubeconfig=kubeconfig))


@clusters.command("remove")
def cluster_remove(
    name: Annotated[str, typer.Argument(help="Which cluster.")],
    release: Annotated[bool, typer.Option("--release", help="Leave what runs there running, as nobody's.")] = False,
    timeout: Annotated[int, typer.Option("--timeout", min=1, help="Seconds to wait.")] = 600,
    kubeconfig: options.Kubeconfig = None,
    state: options.State = None,
    run: options.Run = None,
) -> None:
    """Give a cluster up: its instances move to others, then everything of Boxfleet's there is taken away."""
    from boxfleet.cli import cluster

    known = options.known(state, run)
    policy = "Release" if release else ""
    raise typer.Exit(cluster.remove(known, name, policy=policy, timeout=timeout, kubeconfig=kubeconfig))


@clusters.command("rbac")
def cluster_rbac(
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="Where the account is made.")] = "boxfleet-access",
    kubelet_summaries: Annotated[
        bool, typer.Option("--kubelet-summaries", help="With the right to measure use without a metrics server.")
    ] = False,
) -> None:
    """Print the account and the least rights by which a Kubernetes cluster is driven, to be applied there."""
    from boxfleet.cli import cluster

    raise typer.Exit(cluster.print_rbac(namespace=namespace, kubelet_summaries=kubelet_summaries))


def why(
    unit: Annotated[str, typer.Argument(metavar="UNIT", help="The Unit: BOX-UNIT, or unit/BOX-UNIT.")],
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="Its namespace.")] = "default",
    kubeconfig: options.Kubeconfig = None,
    state: options.State = None,
    run: options.Run = None,
    output: options.Output = options.Format.TEXT,
) -> None:
    """Explain why a Unit's instances are where they are: what ruled each place out, what each scored."""
    from boxfleet.cli import cluster

    raise typer.Exit(cluster.show_why(options.known(state, run), unit, namespace, output, kubeconfig=kubeconfig))


def rebalance(
    clusters: Annotated[
        list[str] | None, typer.Argument(metavar="[CLUSTER]...", help="Clusters of hosts; all when none is named.")
    ] = None,
    mode: Annotated[
        str, typer.Option("--mode", help="Off, Even or Consolidate: shown with --dry-run, else set from now on.")
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be moved, and change nothing.")] = False,
    kubeconfig: options.Kubeconfig = None,
    state: options.State = None,
    run: options.Run = None,
    output: options.Output = options.Format.TEXT,
) -> None:
    """Even out hosts by what they really use, or empty those with little to do; gently, and by policy."""
    from boxfleet.cli import rebalance as commands

    known = options.known(state, run)
    if mode not in ("", "Off", "Even", "Consolidate"):
        raise typer.BadParameter("choose Off, Even or Consolidate", param_hint="--mode")
    if dry_run or not mode:
        raise typer.Exit(commands.show(known, clusters or [], mode, output, kubeconfig=kubeconfig))
    raise typer.Exit(commands.turn(known, clusters or [], mode, kubeconfig=kubeconfig))


def _spec(cost: float, tenants: list[str] | None) -> dict[str, Any]:
    return {"cost": cost, "tenants": tenants or []}


HubKubeconfig = Annotated[str, typer.Option("--kubeconfig", help="The kubeconfig of the cluster.")]
Patience = Annotated[int, typer.Option("--timeout", min=1, help="Seconds to wait for what takes its time.")]


def install(
    kubeconfig: HubKubeconfig,
    image: Annotated[
        str,
        typer.Option("--image", help="Image of Boxfleet that the cluster's hosts can pull; default boxfleet:VERSION."),
    ] = "",
    replicas: Annotated[int, typer.Option("--replicas", min=0, help="Processes of controllers; one works.")] = 1,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would change, and change nothing; with -o yaml, the objects.")
    ] = False,
    force_conflicts: Annotated[
        bool, typer.Option("--force-conflicts", help="Take fields over that somebody else manages.")
    ] = False,
    timeout: Patience = 60,
    output: options.Output = options.Format.TEXT,
) -> None:
    """Make a Kubernetes cluster Boxfleet's home: kinds, rights and controllers; harmless when repeated."""
    from boxfleet.cli import hub

    raise typer.Exit(
        hub.install(
            kubeconfig,
            image=image,
            replicas=replicas,
            dry_run=dry_run,
            force=force_conflicts,
            timeout=timeout,
            form=output,
        )
    )


def uninstall(
    kubeconfig: HubKubeconfig,
    keep_data: Annotated[
        bool, typer.Option("--keep-data", help="Leave the kinds and all their objects; take controllers and rights.")
    ] = False,
    timeout: Patience = 120,
) -> None:
    """Take Boxfleet out of a Kubernetes cluster, with all Boxes."""
    from boxfleet.cli import hub

    raise typer.Exit(hub.uninstall(kubeconfig, keep_data=keep_data, timeout=timeout))


def controllers(
    kubeconfig: Annotated[
        str, typer.Option("--kubeconfig", help="The kubeconfig of the hub; default the cluster that this runs in.")
    ] = "",
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
) -> None:
    """Run controllers, scheduler and drivers for a Kubernetes hub, in the foreground; of several, one works."""
    from boxfleet.app import hub_controllers, services

    with hub_controllers.home_of(kubeconfig) as home:
        raise typer.Exit(services.controllers(home, log_level=log_level))
