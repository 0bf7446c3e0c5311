# remove_packages.sh PACKAGE...: purge those Debian packages, if nothing else would have to go with them.
set -eu
export DEBIAN_FRONTEND=noninteractive
here=
for name in "$@"; do
    if dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null | grep -qx installed; then here="$here $name"; fi
done
[ -n "$here" ] || exit 0
# shellcheck disable=SC2086 # $here is words
others=$(apt-get -s -qq purge $here | sed -n 's/^Purg \([^ ]*\).*/\1/p' | sort -u | grep -vxF "$(printf '%s\n' $here)" || :)
if [ -n "$others" ]; then
    echo "the packages that ./run installed stay, since others need them now:" $others
    exit 0
fi
echo "removing the packages that ./run installed:$here"
# shellcheck disable=SC2086
exec apt-get -y -qq -o Dpkg::Use-Pty=0 purge $here >/dev/null
