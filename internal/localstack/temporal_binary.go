package localstack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// The development server that CI runs: what `go install` builds at this version carries that server. Newer versions of
// the CLI cannot be built by `go install`.
const (
	temporalPackage = "github.com/temporalio/cli/cmd/temporal@v1.5.1"
	temporalServer  = "Server 1.29.1"
)

// FindTemporal returns the development server that is at hand: <bin>/temporal, or the one on PATH if its server is of the
// version that CI runs; empty where neither is.
func FindTemporal(ctx context.Context, bin string) string {
	candidates := []string{filepath.Join(bin, "temporal")}
	if onPath, err := exec.LookPath("temporal"); err == nil {
		candidates = append(candidates, onPath)
	}
	for _, path := range candidates {
		cmd := exec.CommandContext(ctx, path, "--version")
		cmd.Env = []string{"HOME=" + os.TempDir()}
		if out, err := cmd.Output(); err == nil && strings.Contains(string(out), temporalServer) {
			return path
		}
	}
	return ""
}

// BuildTemporal returns the development server, and builds it into bin where FindTemporal finds none. That takes some
// minutes, once, which say tells as it goes. Of several processes that call it at once, one builds and the others wait.
func BuildTemporal(ctx context.Context, guard Guard, bin string, say func(format string, args ...any)) (string, error) {
	if path := FindTemporal(ctx, bin); path != "" {
		return path, nil
	}
	compiler, err := exec.LookPath("go")
	if err != nil {
		return "", errors.New("no Temporal development server with " + temporalServer + ", and no go to build it with")
	}
	say("the Temporal development server is not here yet: it is built now, which takes some minutes, once")
	lock, err := Lock(ctx, filepath.Join(bin, ".temporal.lock"))
	if err != nil {
		return "", err
	}
	defer lock.Unlock()
	if path := FindTemporal(ctx, bin); path != "" {
		return path, nil // another process built it meanwhile
	}
	finished := tick(say)
	defer finished()
	path, err := installTemporal(ctx, guard, compiler, bin)
	if err != nil {
		return "", fmt.Errorf("build the Temporal development server (%s): %w", temporalPackage, err)
	}
	return path, nil
}

// installTemporal builds under a temporary name and renames: a build that was interrupted leaves nothing half made.
func installTemporal(ctx context.Context, guard Guard, compiler, bin string) (string, error) {
	temporary, err := os.MkdirTemp(bin, ".temporal-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(temporary)
	_, err = guard.Run(ctx, Command{
		Path: compiler, Args: []string{"install", temporalPackage}, Dir: bin,
		// Settings for another platform, or for this module, would spoil a tool that runs here.
		Env: append(os.Environ(), "GOBIN="+temporary, "GOFLAGS=", "GOOS=", "GOARCH=", "GOWORK=off"),
	})
	if err != nil {
		return "", err
	}
	path := filepath.Join(bin, "temporal")
	return path, os.Rename(filepath.Join(temporary, "temporal"), path)
}

// tick says every half minute that the build goes on, until the returned function is called.
func tick(say func(string, ...any)) (stop func()) {
	begun, done := time.Now(), make(chan struct{})
	go func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(30 * time.Second):
				say("still building the Temporal development server (%s so far)", time.Since(begun).Round(time.Second))
			}
		}
	}()
	return func() { close(done) }
}
