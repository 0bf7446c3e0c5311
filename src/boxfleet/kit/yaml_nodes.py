"""YAML read as nodes, by libyaml for speed, but with an end to how deep it goes.

PyYAML's own C loader puts the nodes together by calling itself in C, where nothing counts the calls: a text nested
some ten thousand deep ends the process.
"""

import io

import yaml._yaml
import yaml.composer
import yaml.constructor
import yaml.resolver


class Loader(yaml.composer.Composer, yaml._yaml.CParser, yaml.constructor.SafeConstructor, yaml.resolver.Resolver):
    """As yaml.CSafeLoader; what is nested too deeply raises RecursionError.

    `stream` is bytes, or a file whose `name` the errors say.
    """

    def __init__(self, stream: io.BytesIO | bytes) -> None:
        yaml._yaml.CParser.__init__(self, stream)
        yaml.composer.Composer.__init__(self)
        yaml.constructor.SafeConstructor.__init__(self)
        yaml.resolver.Resolver.__init__(self)
