package localstack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
)

// Package is something that a system's package manager can install.
type Package string

// The packages that Parley's development needs.
const (
	PackagePostgres Package = "Postgres"
	PackageGo       Package = "Go"
)

// name is the package's name for a package manager.
func (p Package) name(manager string) string {
	names := map[Package]map[string]string{
		PackagePostgres: {"apt": "postgresql", "dnf": "postgresql-server", "brew": "postgresql@17"},
		PackageGo:       {"apt": "golang-go", "dnf": "golang", "brew": "go"},
	}
	return names[p][manager]
}

// System is what is known of this machine's package manager.
type System struct {
	Manager string // apt, dnf, brew; empty: another one
	Root    bool
}

// ThisSystem looks at the machine.
func ThisSystem() System {
	s := System{Root: os.Geteuid() == 0}
	switch {
	case runtime.GOOS == "darwin":
		s.Manager = "brew"
	case found("apt-get"):
		s.Manager = "apt"
	case found("dnf"):
		s.Manager = "dnf"
	}
	return s
}

func found(program string) bool {
	_, err := exec.LookPath(program)
	return err == nil
}

// InstallCommand is the one command that installs the packages on this system, for a person to run; empty where the
// package manager is not known.
func (s System) InstallCommand(packages ...Package) string {
	var names []string
	for _, p := range packages {
		names = append(names, p.name(s.Manager))
	}
	sudo := "sudo "
	if s.Root {
		sudo = ""
	}
	switch s.Manager {
	case "apt":
		return sudo + "apt-get install -y " + strings.Join(names, " ")
	case "dnf":
		return sudo + "dnf install -y " + strings.Join(names, " ")
	case "brew":
		return "brew install " + strings.Join(names, " ")
	default:
		return ""
	}
}

// Installs reports whether InstallPostgres may be called: as root on Debian or Ubuntu. Nothing here ever calls sudo.
func (s System) Installs() bool { return s.Manager == "apt" && s.Root }

// dropIn keeps Debian's packages from making and starting a cluster of their own when they are installed.
const dropIn = "/etc/postgresql-common/createcluster.d/parley.conf"

// InstallPostgres installs Debian's or Ubuntu's newest package of Postgres. The package's own cluster is neither made
// nor started.
func (s System) InstallPostgres(ctx context.Context, say func(format string, args ...any)) error {
	if !s.Installs() {
		return errors.New("Postgres is installed only as root on Debian or Ubuntu")
	}
	name, err := newestPackage(ctx)
	if err != nil {
		return err
	}
	say("installing %s with apt-get (its own cluster is not made)", name)
	if _, err := os.Stat(dropIn); errors.Is(err, os.ErrNotExist) { // one that is there is somebody's own
		if err := errors.Join(os.MkdirAll(filepath.Dir(dropIn), 0o755), os.WriteFile(dropIn, []byte("create_main_cluster = false\n"), 0o644)); err != nil {
			return err
		}
		defer os.Remove(dropIn)
	}
	return aptGet(ctx, "install", "-y", "--no-install-recommends", name)
}

var postgresPackage = regexp.MustCompile(`(?m)^postgresql-(\d+) `)

// newestPackage returns the newest version's package that apt knows, after asking its servers once where it knows none.
func newestPackage(ctx context.Context) (string, error) {
	for _, refresh := range []bool{false, true} {
		if refresh {
			if err := aptGet(ctx, "update"); err != nil {
				return "", err
			}
		}
		out, err := exec.CommandContext(ctx, "apt-cache", "search", "--names-only", `^postgresql-[0-9]+$`).Output()
		if err != nil {
			return "", fmt.Errorf("apt-cache: %w", err)
		}
		if newest := newestIn(string(out)); newest >= OldestPostgres {
			return "postgresql-" + strconv.Itoa(newest), nil
		}
	}
	return "", fmt.Errorf("%w in this system's package sources: see https://www.postgresql.org/download/linux/ for newer ones", ErrNoPostgres)
}

func newestIn(search string) (newest int) {
	for _, match := range postgresPackage.FindAllStringSubmatch(search, -1) {
		if major, err := strconv.Atoi(match[1]); err == nil {
			newest = max(newest, major)
		}
	}
	return newest
}

func aptGet(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "apt-get", args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("apt-get %s: %w: %s", strings.Join(args, " "), err, lastLines(string(out), 5))
	}
	return nil
}

// EnsurePostgres sees to it that a Postgres can be run: as root on Debian or Ubuntu it installs one where there is none;
// elsewhere it returns an error that names the command for this system.
func EnsurePostgres(ctx context.Context, say func(format string, args ...any)) error {
	user, err := ServerUser()
	if err != nil {
		return err
	}
	_, err = FindPostgres(ctx, user, 0)
	if err == nil || !errors.Is(err, ErrNoPostgres) {
		return err
	}
	system := ThisSystem()
	if !system.Installs() {
		if command := system.InstallCommand(PackagePostgres); command != "" {
			return fmt.Errorf("%w; install it with: %s", err, command)
		}
		return fmt.Errorf("%w; install it with your package manager", err)
	}
	if err := system.InstallPostgres(ctx, say); err != nil {
		return err
	}
	_, err = FindPostgres(ctx, user, 0)
	return err
}
