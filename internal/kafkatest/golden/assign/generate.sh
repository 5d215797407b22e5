#!/bin/sh
# Writes internal/assign/testdata/groups.jsonl anew. Needs Java 17 and Maven.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=$here/../../../assign/testdata
lib=$(mktemp -d)
trap 'rm -rf "$lib"' EXIT
mvn -q -B -f "$here/pom.xml" dependency:copy-dependencies -DoutputDirectory="$lib"
mkdir -p "$out"
java -cp "$lib/*" "$here/AssignGolden.java" > "$out/groups.jsonl"
