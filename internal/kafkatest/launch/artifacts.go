package launch

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// slf4jVersion is the binding that sends broker logs to standard error. Kafka 3.9 and 4.3 both use the slf4j 1.7 API.
const slf4jVersion = "1.7.36"

// pomTemplate lists what a broker needs: the server (it holds kafka.Kafka and kafka.tools.StorageTool) and a log binding. The
// bindings that Kafka 3.x brings along are left out, so that both lines log the same way.
const pomTemplate = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>kafkatest</groupId><artifactId>broker</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>%s</version>
      <exclusions>
        <exclusion><groupId>org.slf4j</groupId><artifactId>slf4j-reload4j</artifactId></exclusion>
        <exclusion><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId></exclusion>
      </exclusions>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>%s</version>
    </dependency>
  </dependencies>
</project>
`

// Install is one version of Kafka on disk, ready to run.
type Install struct {
	Version   string
	Java      string // the java command
	Classpath string // every jar, in a fixed order
	archive   string // class data archive, "" while it is being made
}

// CacheDir is where installs live between runs, outside the repository: KAFKATEST_CACHE, or kafka-go-test in the user's cache folder.
func CacheDir() (string, error) {
	if dir := os.Getenv("KAFKATEST_CACHE"); dir != "" {
		return dir, nil
	}
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no cache folder for Kafka's artifacts: %w", err)
	}
	return filepath.Join(base, "kafka-go-test"), nil
}

// Resolve gives the install of a version, fetching it through Maven and making its class data archive the first time. Processes that
// ask at the same time wait for one another on a file lock.
func Resolve(ctx context.Context, version string) (*Install, error) {
	java, err := javaCommand()
	if err != nil {
		return nil, err
	}
	cache, err := CacheDir()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return nil, err
	}
	unlock, err := lockFile(ctx, filepath.Join(cache, version+".lock"))
	if err != nil {
		return nil, err
	}
	defer unlock()

	home := filepath.Join(cache, version)
	lib := filepath.Join(home, "lib")
	if _, err := os.Stat(lib); err != nil {
		if err := fetchJars(ctx, version, home, lib); err != nil {
			return nil, fmt.Errorf("fetch Kafka %s from Maven: %w", version, err)
		}
	}
	install := &Install{Version: version, Java: java}
	if install.Classpath, err = classpath(lib); err != nil {
		return nil, err
	}
	fingerprint, err := javaFingerprint()
	if err != nil {
		return nil, err
	}
	archive := filepath.Join(home, "classes-"+fingerprint+".jsa")
	if _, err := os.Stat(archive); err != nil {
		if err := makeArchive(ctx, install, archive); err != nil {
			return nil, fmt.Errorf("class data archive of Kafka %s: %w", version, err)
		}
	}
	install.archive = archive
	return install, nil
}

// fetchJars copies the jars into a folder beside lib and renames it at the end, so that a lib that exists is whole.
func fetchJars(ctx context.Context, version, home, lib string) error {
	mvn, err := exec.LookPath("mvn")
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoJava, err)
	}
	partial := lib + ".partial"
	if err := os.RemoveAll(partial); err != nil {
		return err
	}
	if err := os.MkdirAll(partial, 0o755); err != nil {
		return err
	}
	pom := filepath.Join(home, "pom.xml")
	if err := os.WriteFile(pom, fmt.Appendf(nil, pomTemplate, version, slf4jVersion), 0o644); err != nil {
		return err
	}
	_, err = run(ctx, home, mvn, "-q", "-B", "-f", pom, "dependency:copy-dependencies",
		"-DincludeScope=runtime", "-DoutputDirectory="+partial)
	if err != nil {
		return err
	}
	return os.Rename(partial, lib)
}

func classpath(lib string) (string, error) {
	jars, err := filepath.Glob(filepath.Join(lib, "*.jar"))
	if err != nil {
		return "", err
	}
	if len(jars) == 0 {
		return "", fmt.Errorf("no jars in %s: remove the folder to fetch them again", lib)
	}
	slices.Sort(jars)
	return strings.Join(jars, string(filepath.ListSeparator)), nil
}
