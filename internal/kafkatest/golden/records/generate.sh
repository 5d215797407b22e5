#!/bin/sh
# Writes protocol/testdata/records/golden.jsonl anew. Needs Java 17 and Maven.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=$here/../../../../protocol/testdata/records
lib=$(mktemp -d)
trap 'rm -rf "$lib"' EXIT
mvn -q -B -f "$here/pom.xml" dependency:copy-dependencies -DoutputDirectory="$lib"
mkdir -p "$out"
java -cp "$lib/*" "$here/RecordsGolden.java" > "$out/golden.jsonl"
