package localstack_test

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"parley/internal/localstack"
	"parley/internal/testkit"
)

// stranger is a user who owns nothing here.
func stranger() *localstack.User { return &localstack.User{Name: "stranger", UID: 4242, GID: 4242} }

// openDir makes a folder that everybody may enter, below folders that everybody may enter.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "parley-place-") //nolint:usetesting // t.TempDir may lie below a private folder
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestPostgresDataLiesWhereItsUserCanReachIt(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		mode   os.FileMode // of the folder above the checkout
		user   *localstack.User
		inside bool
	}{
		"an open checkout":                         {0o755, stranger(), true},
		"a checkout under a private home":          {0o700, stranger(), false},
		"a private home of the one who starts it":  {0o700, nil, true},
		"a folder that may be listed, not entered": {0o744, stranger(), false},
		"a folder that may be entered, not listed": {0o711, stranger(), true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			home := openDir(t)
			checkout := filepath.Join(home, "parley")
			if err := errors.Join(os.Mkdir(checkout, 0o755), os.Chmod(checkout, 0o755), os.Chmod(home, tt.mode)); err != nil {
				t.Fatal(err)
			}
			data := localstack.PostgresData(checkout, tt.user)
			if inside := strings.HasPrefix(data, checkout); inside != tt.inside {
				t.Errorf("the data lies in %s", data)
			}
			if !tt.inside && !strings.HasPrefix(data, "/var/lib/parley-dev/") {
				t.Errorf("the data lies in %s, which a reboot may erase", data)
			}
		})
	}
	if one, two := localstack.PostgresData("/nobody/a", stranger()), localstack.PostgresData("/nobody/b", stranger()); one == two {
		t.Errorf("two checkouts share %s", one)
	}
}

func TestReachesByGroup(t *testing.T) {
	t.Parallel()
	dir := openDir(t)
	if err := os.Chmod(dir, 0o710); err != nil {
		t.Fatal(err)
	}
	member := &localstack.User{UID: 4242, GID: uint32(os.Getegid())}
	if !member.Reaches(dir) || stranger().Reaches(dir) {
		t.Error("a folder of mode 710 is for its group")
	}
}

func TestCheckoutIsTheNearestModule(t *testing.T) {
	t.Parallel()
	top, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	below := filepath.Join(top, "internal", "x")
	if err := errors.Join(os.MkdirAll(below, 0o755), os.WriteFile(filepath.Join(top, "go.mod"), nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	if got, err := localstack.Checkout(below); err != nil || got != top {
		t.Errorf("got %s, %v, want %s", got, err, top)
	}
	if _, err := localstack.Checkout("/"); err == nil {
		t.Error("the root folder is no checkout")
	}
}

func TestAPortIsKeptForOne(t *testing.T) {
	t.Parallel()
	first, err := localstack.FreePort(0)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Release()
	second, err := localstack.FreePort(first.Number)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Release()
	if second.Number == first.Number {
		t.Error("two have the same port")
	}
	listener, err := net.Listen("tcp", first.Address())
	if err != nil {
		t.Fatalf("the one that it is kept for cannot use it: %v", err)
	}
	defer listener.Close()
	second.Release()
	testkit.EventuallyTrue(t, 10*time.Second, "a port that was given back to be free", func() bool {
		again, err := localstack.FreePort(second.Number)
		if err != nil {
			return false
		}
		defer again.Release()
		return again.Number == second.Number
	})
	listener2, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener2.Close()
	taken := listener2.Addr().(*net.TCPAddr).Port
	other, err := localstack.FreePort(taken)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Release()
	if other.Number == taken {
		t.Error("a port that somebody listens on was given out")
	}
}

// A child has copies of its parent's sockets until its program runs: none of them may be in the way.
func TestAPortCanBeUsedWhileChildrenStart(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	var children sync.WaitGroup
	defer children.Wait()
	defer cancel()
	for range 4 {
		children.Go(func() {
			for ctx.Err() == nil {
				_ = exec.CommandContext(ctx, "true").Run()
			}
		})
	}
	for range 500 {
		port, err := localstack.FreePort(0)
		if err != nil {
			t.Fatal(err)
		}
		listener, err := net.Listen("tcp", port.Address())
		if err != nil {
			t.Fatal(err)
		}
		_ = listener.Close()
		port.Release()
	}
}

func TestOneCommandInstallsEverything(t *testing.T) {
	t.Parallel()
	tests := []struct {
		system localstack.System
		want   string
	}{
		{localstack.System{Manager: "brew"}, "brew install postgresql@17 go"},
		{localstack.System{Manager: "apt"}, "sudo apt-get install -y postgresql golang-go"},
		{localstack.System{Manager: "apt", Root: true}, "apt-get install -y postgresql golang-go"},
		{localstack.System{Manager: "dnf"}, "sudo dnf install -y postgresql-server golang"},
		{localstack.System{}, ""},
	}
	for _, tt := range tests {
		if got := tt.system.InstallCommand(localstack.PackagePostgres, localstack.PackageGo); got != tt.want {
			t.Errorf("%+v: got %q, want %q", tt.system, got, tt.want)
		}
		if got, want := tt.system.Installs(), tt.system.Manager == "apt" && tt.system.Root; got != want {
			t.Errorf("%+v: installs by itself: %v, want %v", tt.system, got, want)
		}
	}
}

func TestEnvironmentIsMadeFromNothing(t *testing.T) {
	t.Setenv("DATABASE_URL", "postgres://production")
	t.Setenv("TEMPORAL_ADDRESS", "production:7233")
	t.Setenv("TEMPORAL_PROFILE", "production")
	home := filepath.Join(t.TempDir(), "home")
	env, err := localstack.Environment(home, "MINE=1")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, variable := range env {
		name, value, _ := strings.Cut(variable, "=")
		names = append(names, name)
		if strings.Contains(value, "production") {
			t.Errorf("leaked: %s", variable)
		}
		if name == "TEMPORAL_CONFIG_FILE" {
			if text, err := os.ReadFile(value); err != nil || len(text) > 0 {
				t.Errorf("the profile file holds %q, %v", text, err)
			}
		}
	}
	if want := []string{"PATH", "TMPDIR", "HOME", "XDG_CONFIG_HOME", "TEMPORAL_CONFIG_FILE", "MINE"}; !slices.Equal(names, want) {
		t.Errorf("got %v, want %v", names, want)
	}
}

func TestRedact(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"postgres://me:secret@db:5432/parley?sslkey=secret": "postgres://me:xxxxx@db:5432/parley",
		"host=db password=secret":                           "the given database",
		"postgres://me:sec ret@db:54x32/parley":             "the given database",
	} {
		if got := localstack.Redact(given); got != want {
			t.Errorf("%s: got %s", given, got)
		}
	}
}
