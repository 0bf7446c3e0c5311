#!/bin/sh
# A CNI IPAM plug-in that chooses nothing: the ledger has chosen, and the agent has written the answer of ADD for
# each instance to addresses/NAMESPACE_NAME beside the folder of this plug-in. Nothing is leased, so DEL frees nothing.
set -uf
LC_ALL=C

refuse() {
  printf '{"cniVersion":"0.4.0","code":%s,"msg":"%s"}\n' "$1" "$2"
  exit 1
}

case ${CNI_COMMAND-} in
  VERSION) printf '{"cniVersion":"0.4.0","supportedVersions":["0.3.1","0.4.0"]}\n'; exit 0 ;;
  DEL | CHECK) exit 0 ;;
  ADD) ;;
  *) refuse 4 "CNI_COMMAND must be ADD, DEL, CHECK or VERSION" ;;
esac

namespace= name=
IFS=';'
for pair in ${CNI_ARGS-}; do
  case $pair in
    K8S_POD_NAMESPACE=*) namespace=${pair#*=} ;;
    K8S_POD_NAME=*) name=${pair#*=} ;;
  esac
done
IFS=

# The two become a path: only the letters of Kubernetes names, and no leading dot.
for word in "$namespace" "$name"; do
  case $word in
    '' | .* | *[!a-z0-9.-]*) refuse 4 "CNI_ARGS must name K8S_POD_NAMESPACE and K8S_POD_NAME" ;;
  esac
done

file=${0%/*}/../addresses/${namespace}_$name
[ -r "$file" ] || refuse 11 "no address is assigned to $namespace/$name yet"
{ read -r answer && read -r hardware; } < "$file" || refuse 11 "the address of $namespace/$name cannot be read"

# The bridge plug-in has made the interface before it asks. An address keeps its hardware address: neighbours
# remember the pair for most of a minute, and would speak to the interface of a sandbox that is gone.
if [ -n "${CNI_NETNS-}" ]; then
  nsenter --net="$CNI_NETNS" ip link set dev "$CNI_IFNAME" address "$hardware" ||
    refuse 11 "the hardware address of $CNI_IFNAME cannot be set"
fi
printf '%s\n' "$answer"
