package localstack

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
)

// Build builds processes of Parley into the checkout's bin folder, the way make build does; what is up to date is left
// as it is. Of several processes that call it at once, one builds and the others wait.
func Build(ctx context.Context, checkout string, names ...string) error {
	lock, err := Lock(ctx, filepath.Join(checkout, "bin", ".build.lock"))
	if err != nil {
		return err
	}
	defer lock.Unlock()
	args := []string{"build", "-o", "bin/"}
	for _, name := range names {
		args = append(args, "./"+name)
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = checkout
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %v: %w\n%s", names, err, out)
	}
	return nil
}
