package main

import (
	"context"
	_ "embed" // for the sources of the clients in other languages
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// What the clients of other languages are made of, with what they were measured with last.
var (
	//go:embed external/ClientJava.java
	javaSource []byte
	//go:embed external/pom.xml
	javaPOM []byte
	//go:embed external/client_aiokafka.py
	aiokafkaSource []byte

	aiokafkaPackages = []string{"aiokafka==0.14.0", "cramjam==2.14.0"} // cramjam has the codecs
)

// prepareConfluent builds the client on librdkafka, which is linked statically from what its Go module ships.
func prepareConfluent(ctx context.Context, dir string) ([]string, error) {
	module, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", modulePath).Output()
	if err != nil {
		return nil, fmt.Errorf("finding the sources: %w", err)
	}
	binary := filepath.Join(dir, "client-confluent")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", binary, ".")
	cmd.Dir = filepath.Join(strings.TrimSpace(string(module)), "confluent")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building it, for which cgo and a C compiler are needed: %w\n%s", err, out)
	}
	return []string{binary}, nil
}

// prepareJava fetches the Java client once with Maven, and compiles the program.
func prepareJava(ctx context.Context, dir string) ([]string, error) {
	for _, tool := range []string{"java", "javac", "mvn"} {
		if _, err := exec.LookPath(tool); err != nil {
			return nil, fmt.Errorf("%s is not installed", tool)
		}
	}
	lib, err := prepared("java", javaPOM, func(partial string) error {
		pom := filepath.Join(partial, "pom.xml")
		if err := os.WriteFile(pom, javaPOM, 0o644); err != nil {
			return err
		}
		return command(ctx, "mvn", "-q", "-B", "-f", pom, "dependency:copy-dependencies", "-DoutputDirectory="+partial)
	})
	if err != nil {
		return nil, err
	}
	source := filepath.Join(dir, "ClientJava.java")
	if err := os.WriteFile(source, javaSource, 0o644); err != nil {
		return nil, err
	}
	classpath := filepath.Join(lib, "*") + string(filepath.ListSeparator) + dir
	if err := command(ctx, "javac", "-cp", classpath, "-d", dir, source); err != nil {
		return nil, err
	}
	return []string{"java", "-cp", classpath, "ClientJava"}, nil
}

// prepareAiokafka installs aiokafka once into a virtual environment.
func prepareAiokafka(ctx context.Context, dir string) ([]string, error) {
	if _, err := exec.LookPath("python3"); err != nil {
		return nil, errors.New("python3 is not installed")
	}
	venv, err := prepared("aiokafka", []byte(strings.Join(aiokafkaPackages, " ")), func(partial string) error {
		if err := command(ctx, "python3", "-m", "venv", partial); err != nil {
			return fmt.Errorf("python3 has no venv or pip: %w", err)
		}
		return command(ctx, filepath.Join(partial, "bin", "python3"), append([]string{"-m", "pip", "install", "-q"}, aiokafkaPackages...)...)
	})
	if err != nil {
		return nil, err
	}
	script := filepath.Join(dir, "client_aiokafka.py")
	if err := os.WriteFile(script, aiokafkaSource, 0o644); err != nil {
		return nil, err
	}
	return []string{filepath.Join(venv, "bin", "python3"), script}, nil
}

func command(ctx context.Context, name string, args ...string) error {
	if out, err := exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", filepath.Base(name), err, out)
	}
	return nil
}
