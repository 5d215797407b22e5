#!/bin/sh
# Writes protocol/testdata/golden anew. Needs Java 17 and Maven, and a Maven repository to fetch the Java client from.
set -eu
cd "$(dirname "$0")"
mvn -q -B dependency:copy-dependencies -DoutputDirectory=target/lib
rm -rf ../../../protocol/testdata/golden
mkdir -p ../../../protocol/testdata/golden
javac -cp 'target/lib/*' -d target/classes Golden.java
java -cp 'target/classes:target/lib/*' Golden ../../../protocol/testdata/golden
