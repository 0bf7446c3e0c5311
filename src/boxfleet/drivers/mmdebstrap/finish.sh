#!/bin/sh
# Runs when all packages are in, with the root file system as argument: puts the recipe's files there, runs its
# commands, and takes away what differs from build to build. `place`, `run` and `finish` are called by generated lines.
set -eu
stage=${0%/*}
root=$1

# The folder of a path in the root file system, made if need be. An absolute link would lead out of the image.
folder_in_root() {
    folder=$(readlink -m -- "$root$1")
    case "$folder/" in
    "$root"/*) ;;
    *) echo "E: $1 goes through an absolute symbolic link: name the folder it points to" >&2; exit 1 ;;
    esac
    mkdir -p -- "$folder"
}

# place NUMBER MODE OWNER FOLDER NAME
place() {
    folder_in_root "$4"
    target=$folder/$5
    rm -f -- "$target"
    cp -- "$stage/file-$1" "$target"
    case "$3" in
    *[!0-9:]*) chroot "$root" chown -- "$3" "${target#"$root"}" ;;
    *) chown -- "$3" "$target" ;;
    esac
    chmod -- "$2" "$target"
}

# run NUMBER
run() {
    shell=/bin/sh
    [ -e "$root/bin/sh" ] || [ -L "$root/bin/sh" ] || shell="/bin/busybox sh"
    echo "I: running command $(($1 + 1)) of the recipe..." >&2
    # $shell is two words with busybox.
    # shellcheck disable=SC2086
    unshare --net -- env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
        LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive SOURCE_DATE_EPOCH="$SOURCE_DATE_EPOCH" \
        chroot "$root" $shell -euc "$(cat "$stage/run-$1")" </dev/null >&2
}

finish() {
    cd -- "$root"
    rm -rf -- etc/apt/sources.list etc/apt/sources.list.d/* etc/apt/apt.conf.d/99mmdebstrap \
        var/lib/dpkg/*-old var/cache/debconf/*-old var/cache/apt/*.bin var/cache/ldconfig/aux-cache \
        var/cache/man var/cache/fontconfig \
        var/lib/systemd/catalog/database var/lib/dbus/machine-id root/.cache tmp/* var/tmp/* \
        usr/share/man usr/share/info usr/share/locale/?? usr/share/locale/??_* usr/share/locale/??@* usr/share/lintian \
        usr/share/bug usr/share/doc-base
    for folder in var/lib/apt/lists var/cache/apt/archives; do
        [ ! -d "$folder" ] || find "$folder" -mindepth 1 -delete
    done
    [ ! -d var/log ] || find var/log -type f -delete
    # Licences stay: an image is passed on.
    [ ! -d usr/share/doc ] || find usr/share/doc -depth -not -type d -not -name 'copyright*' -delete
    [ ! -d usr/share/doc ] || find usr/share/doc -depth -type d -empty -delete
    # The runtime mounts its own over these.
    for file in etc/hostname etc/resolv.conf; do
        [ ! -e "$file" ] && [ ! -L "$file" ] || { rm -f "$file"; : >"$file"; }
    done
}
