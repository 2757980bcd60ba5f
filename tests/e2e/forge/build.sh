#!/usr/bin/env bash
# Build the forge of the end-to-end tests: Gitea and its Actions runner, from the Go module proxy, into
# a folder that FORGE_HOME then names. It takes about five minutes, once. Go 1.26 must be there.
#
#   bash tests/e2e/forge/build.sh FOLDER
set -euo pipefail

home=$(mkdir -p "$1" && cd "$1" && pwd)
export GOFLAGS="-mod=mod -modcacherw"

# program NAME MODULE VERSION [OPTION...]: build a module's main package in a module of our own.
program() {
    local name=$1 module=$2 version=$3 file
    shift 3
    mkdir -p "$home/build/$name" "$home/bin"
    cd "$home/build/$name"
    file=$(go mod download -json "$module@$version" | sed -n 's/^\t"GoMod": "\(.*\)",$/\1/p')
    {
        printf 'module forge/%s\n\ngo 1.26\n\nrequire %s %s\n' "$name" "$module" "$version"
        # The replacements of a dependency do not count, so they are repeated here.
        awk '/^replace \(/ { inside = 1 } inside; /^\)/ { inside = 0 } /^replace [^(]/' "$file"
    } > go.mod
    printf '//go:build tools\n\npackage tools\n\nimport _ "%s"\n' "$module" > tools.go
    go build -o "$home/bin/$name" "$@" "$module"
    # Gitea reads its templates and languages from beside its source.
    go list -m -f '{{.Dir}}' "$module" > "$home/build/$name.source"
}

[ -x "$home/bin/runner" ] || program runner gitea.com/gitea/runner v1.0.8
[ -x "$home/bin/gitea" ] || program gitea code.gitea.io/gitea v1.26.0 -tags 'sqlite sqlite_unlock_notify'
source=$(cat "$home/build/gitea.source")
for folder in options public templates; do
    [ -d "$home/static/$folder" ] || { mkdir -p "$home/static"; cp -R "$source/$folder" "$home/static/"; }
done
chmod -R u+w "$home/static"
