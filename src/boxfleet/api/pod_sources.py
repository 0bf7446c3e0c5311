"""Where the variables and files of a Pod come from: keys, fields, claims, the host. Parts of the standard v1 Pod."""

from boxfleet.api import meta

IntOrString = int | str


class KeySelector(meta.Model):
    """A key of a ConfigMap or Secret."""

    key: str
    name: str = ""
    optional: bool | None = None


class ObjectFieldSelector(meta.Model):
    """A field of the Pod itself."""

    fieldPath: str
    apiVersion: str = ""


class ResourceFieldSelector(meta.Model):
    """A resource of a container, divided by `divisor`."""

    resource: str
    containerName: str = ""
    divisor: IntOrString = ""


class EnvVarSource(meta.Model):
    """Where a variable's value comes from."""

    configMapKeyRef: KeySelector | None = None
    secretKeyRef: KeySelector | None = None
    fieldRef: ObjectFieldSelector | None = None
    resourceFieldRef: ResourceFieldSelector | None = None


class EnvVar(meta.Model):
    """One environment variable."""

    name: str
    value: str = ""
    valueFrom: EnvVarSource | None = None


class NamedSource(meta.Model):
    """A whole ConfigMap or Secret by name."""

    name: str = ""
    optional: bool | None = None


class EnvFromSource(meta.Model):
    """All keys of a ConfigMap or Secret as variables."""

    prefix: str = ""
    configMapRef: NamedSource | None = None
    secretRef: NamedSource | None = None


class KeyToPath(meta.Model):
    """A key of a ConfigMap or Secret as a file."""

    key: str
    path: str
    mode: int | None = None


class ConfigMapVolumeSource(meta.Model):
    """A ConfigMap as files."""

    name: str = ""
    items: list[KeyToPath] = []
    defaultMode: int | None = None
    optional: bool | None = None


class SecretVolumeSource(meta.Model):
    """A Secret as files, on memory only."""

    secretName: str = ""
    items: list[KeyToPath] = []
    defaultMode: int | None = None
    optional: bool | None = None


class EmptyDirVolumeSource(meta.Model):
    """A folder that lives as long as the Pod."""

    medium: str = ""
    sizeLimit: IntOrString | None = None


class HostPathVolumeSource(meta.Model):
    """A path of the host."""

    path: str
    type: str = ""


class ClaimVolumeSource(meta.Model):
    """A PersistentVolumeClaim of the same namespace."""

    claimName: str
    readOnly: bool = False


class DownwardItem(meta.Model):
    """A field of the Pod as a file."""

    path: str
    fieldRef: ObjectFieldSelector | None = None
    resourceFieldRef: ResourceFieldSelector | None = None
    mode: int | None = None


class DownwardVolumeSource(meta.Model):
    """Fields of the Pod as files."""

    items: list[DownwardItem] = []
    defaultMode: int | None = None


class TokenProjection(meta.Model):
    """A token of the Pod's ServiceAccount as a file; `audience` is the API itself when empty."""

    path: str
    audience: str = ""
    expirationSeconds: int = 3600


class NamedProjection(meta.Model):
    """A ConfigMap or Secret as files of a projected volume."""

    name: str = ""
    items: list[KeyToPath] = []
    optional: bool | None = None


class DownwardProjection(meta.Model):
    """Fields of the Pod as files of a projected volume."""

    items: list[DownwardItem] = []


class VolumeProjection(meta.Model):
    """One source of a projected volume; one field is set."""

    serviceAccountToken: TokenProjection | None = None
    configMap: NamedProjection | None = None
    secret: NamedProjection | None = None
    downwardAPI: DownwardProjection | None = None


class ProjectedVolumeSource(meta.Model):
    """Files from several sources in one folder, on memory only; of two with one path the later source counts."""

    sources: list[VolumeProjection] = []
    defaultMode: int | None = None

    @property
    def tokens(self) -> list[TokenProjection]:
        """The tokens among the sources."""
        return [each.serviceAccountToken for each in self.sources if each.serviceAccountToken is not None]


class CsiVolumeSource(meta.Model):
    """A volume that lives with its Pod, made by a driver; hosts know Boxfleet's own (`api.coupling`)."""

    driver: str
    volumeAttributes: dict[str, str] = {}


class Volume(meta.Model):
    """A folder or file that containers can mount; one source is set, emptyDir when none."""

    name: str
    emptyDir: EmptyDirVolumeSource | None = None
    hostPath: HostPathVolumeSource | None = None
    configMap: ConfigMapVolumeSource | None = None
    secret: SecretVolumeSource | None = None
    persistentVolumeClaim: ClaimVolumeSource | None = None
    downwardAPI: DownwardVolumeSource | None = None
    projected: ProjectedVolumeSource | None = None
    csi: CsiVolumeSource | None = None
