#!/bin/sh
# Builds programs of Kubernetes from Debian's own source package: build.sh FOLDER PROGRAM...
#
# The source comes through apt, from whatever sources this machine has, and is checked by apt. Everything happens below
# FOLDER: FOLDER/bin holds the programs at the end, the rest can be thrown away.
set -eu

folder=$1
shift
mkdir -p "$folder"
cd "$folder"

fetch() {
    mkdir -p apt/parts apt/lists/partial apt/cache/archives/partial
    # The machine's own sources, for source packages.
    for file in /etc/apt/sources.list.d/*.sources; do
        [ -e "$file" ] && sed 's/^Types:.*/Types: deb-src/' "$file" >"apt/parts/${file##*/}"
    done
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
        [ -e "$file" ] && sed -n 's/^deb /deb-src /p' "$file" >"apt/parts/${file##*/}.list"
    done
    options="-q -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts=$PWD/apt/parts
        -o Dir::State::lists=$PWD/apt/lists -o Dir::Cache=$PWD/apt/cache -o APT::Sandbox::User=root"
    # shellcheck disable=SC2086 # $options is words
    apt-get $options update
    # shellcheck disable=SC2086
    apt-get $options source kubernetes
    rm -rf apt
    mv kubernetes-*/ source
}

[ -d source ] || fetch
cd source

# The reflect2 that is vendored does not know maps of Go 1.18 and later: a server made with it crashes on the first custom
# resource.
reflect=vendor/github.com/modern-go/reflect2
rm -rf "$reflect"
cp -rL /usr/share/gocode/src/github.com/modern-go/reflect2 "$reflect"

version=$(dpkg-parsechangelog -S Version | sed 's/.*really//; s/[-+~].*//')
cat >version.sh <<END
KUBE_GIT_COMMIT=unknown
KUBE_GIT_TREE_STATE=archive
KUBE_GIT_VERSION=v$version
KUBE_GIT_MAJOR=${version%%.*}
KUBE_GIT_MINOR=$(echo "$version" | cut -d. -f2)
END

export PATH="/usr/lib/go-1.19/bin:$PATH" GOROOT=/usr/lib/go-1.19 GOPROXY=off GOFLAGS=-mod=vendor GO111MODULE=auto
export GOCACHE="$PWD/../go-cache" CGO_ENABLED=0 KUBE_GIT_VERSION_FILE="$PWD/version.sh"
unset GOPATH GOBIN || :
what=
for program; do what="$what cmd/$program"; done
make generated_files
make WHAT="$what"

mkdir -p ../bin
for program; do cp "_output/bin/$program" ../bin/; done
