package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"parley/internal/domain"
	"parley/internal/localstack"
)

// What the stack needs of the machine, with room to breathe: nine small Go processes, Temporal's server, Postgres.
const (
	leastDisk   = 2 << 30
	leastMemory = 2 << 30
)

// lack is one thing that is missing, and the package that would bring it, where one would.
type lack struct {
	what string
	from localstack.Package // empty: none would
}

// check looks at everything that the run needs and returns one error that names all that is missing, with the one
// command for this system. What it may install itself (as root on Debian or Ubuntu) it installs.
func (d *dev) check(ctx context.Context, o options) error {
	system := localstack.ThisSystem()
	var missing []lack
	for _, look := range []func() []lack{
		d.binaries, func() []lack { return d.compiler(ctx) }, func() []lack { return d.postgres(ctx, system) },
		d.disk, memory, func() []lack { return d.twilioSettings(o) },
	} {
		missing = append(missing, look()...)
	}
	return lacking(missing, system)
}

// lacking is the error that names everything at once, nil where nothing is missing.
func lacking(missing []lack, system localstack.System) error {
	if len(missing) == 0 {
		return nil
	}
	var text strings.Builder
	text.WriteString("this machine lacks something:")
	var packages []localstack.Package
	for _, one := range missing {
		text.WriteString("\n  - " + one.what)
		if one.from != "" {
			packages = append(packages, one.from)
		}
	}
	if len(packages) > 0 {
		command := system.InstallCommand(packages...)
		if command == "" {
			command = "your package manager"
		}
		text.WriteString("\ninstall it with:\n  " + command)
	}
	return errors.New(text.String())
}

func (d *dev) binaries() (missing []lack) {
	for _, name := range []string{"webhook", "worker", "starter", "simulator"} {
		if _, err := os.Stat(filepath.Join(d.bin, name)); err != nil {
			missing = append(missing, lack{what: "the binary " + name + ": run make build"})
		}
	}
	return missing
}

// compiler is needed only to build Temporal's development server.
func (d *dev) compiler(ctx context.Context) []lack {
	if d.getenv(localstack.TemporalVariable) != "" || localstack.FindTemporal(ctx, d.bin) != "" {
		return nil
	}
	if _, err := exec.LookPath("go"); err != nil {
		return []lack{{"Go, to build Temporal's development server", localstack.PackageGo}}
	}
	return nil
}

func (d *dev) postgres(ctx context.Context, system localstack.System) []lack {
	if d.getenv(localstack.DevDatabaseVariable) != "" {
		return nil
	}
	user, err := localstack.ServerUser()
	if err == nil {
		_, err = localstack.FindPostgres(ctx, user, 0)
	}
	switch {
	case err == nil:
		return nil
	case !errors.Is(err, localstack.ErrNoPostgres):
		return []lack{{what: err.Error()}}
	case !system.Installs():
		return []lack{{err.Error(), localstack.PackagePostgres}}
	}
	if err := localstack.EnsurePostgres(ctx, d.out.Say); err != nil {
		return []lack{{what: err.Error()}}
	}
	return nil
}

func (d *dev) disk() []lack {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(d.checkout, &stat); err != nil {
		return []lack{{what: "disk: " + err.Error()}}
	}
	if free := stat.Bavail * uint64(stat.Bsize); free < leastDisk {
		return []lack{{what: fmt.Sprintf("disk: %d MB free at %s, want %d", free>>20, d.checkout, leastDisk>>20)}}
	}
	return nil
}

func memory() []lack {
	total, err := totalMemory()
	if err == nil && total < leastMemory { // where it cannot be told, let the stack try
		return []lack{{what: fmt.Sprintf("memory: the machine has %d MB, want %d", total>>20, leastMemory>>20)}}
	}
	return nil
}

// totalMemory returns the machine's memory in bytes.
func totalMemory() (uint64, error) {
	if runtime.GOOS == "darwin" {
		out, err := exec.Command("sysctl", "-n", "hw.memsize").Output()
		if err != nil {
			return 0, err
		}
		return strconv.ParseUint(strings.TrimSpace(string(out)), 10, 64)
	}
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	var kilobytes uint64
	_, err = fmt.Sscanf(string(text), "MemTotal: %d kB", &kilobytes)
	return kilobytes << 10, err
}

// twilioSettings are what the run with the real Twilio takes from the environment.
func (d *dev) twilioSettings(o options) (missing []lack) {
	if !o.twilio {
		return nil
	}
	for _, name := range []string{"TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TWILIO_NUMBER", "PARLEY_PUBLIC_URL"} {
		if d.getenv(name) == "" {
			missing = append(missing, lack{what: name + ": the run with Twilio needs it in the environment"})
		}
	}
	if number := d.getenv("TWILIO_NUMBER"); number != "" {
		if _, err := domain.ParseAddress(number); err != nil {
			missing = append(missing, lack{what: "TWILIO_NUMBER: " + err.Error()})
		}
	}
	return missing
}
