package e2e_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"parley/internal/localstack"
	"parley/internal/testkit"
)

// devRun is bin/dev in a checkout of the test.
type devRun struct {
	t       *testing.T
	command *exec.Cmd
	ended   chan struct{}

	mu    sync.Mutex
	lines []string
}

// devCheckout makes a checkout of its own: a folder with a go.mod, all that dev needs of one. As root it lies under a
// private home, which the user that Postgres runs as cannot enter.
func devCheckout(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"dev", "starter", "webhook", "worker", "simulator"} {
		testkit.Binary(t, name)
	}
	home := t.TempDir()
	checkout := filepath.Join(home, "parley")
	if err := errors.Join(os.Mkdir(checkout, 0o755), os.WriteFile(filepath.Join(checkout, "go.mod"), []byte("module parley\n"), 0o644), os.Chmod(home, 0o700)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { devCommand(t, checkout, nil, "reset").run() })
	return checkout
}

// devCommand prepares bin/dev in a checkout, with the environment of a developer who works on production, too: every
// variable that dev must ignore leads to a dead address, and so does Temporal's profile file.
func devCommand(t *testing.T, checkout string, env []string, args ...string) *devRun {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := listener.Addr().String()
	listener.Close()
	home := t.TempDir()
	profile := filepath.Join(home, ".config", "temporalio", "temporal.toml")
	text := fmt.Sprintf("[profile.default]\naddress = %q\n", dead)
	if err := errors.Join(os.MkdirAll(filepath.Dir(profile), 0o755), os.WriteFile(profile, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
	d := &devRun{t: t, command: exec.Command(testkit.Binary(t, "dev"), args...), ended: make(chan struct{})}
	d.command.Dir = checkout
	d.command.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "DATABASE_URL=postgres://me:secret@" + dead + "/production",
		"TEMPORAL_ADDRESS=" + dead, "TEMPORAL_NAMESPACE=production", "TEMPORAL_PROFILE=default", "TEMPORAL_API_KEY=secret",
		"TEMPORAL_CONFIG_FILE=" + profile, "PARLEY_TEST_DATABASE_URL=postgres://me@" + dead + "/test", "PARLEY_CONFIG=/no/such/file",
	}, env...)
	return d
}

func (d *devRun) start() *devRun {
	d.t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		d.t.Fatal(err)
	}
	d.command.Stdout, d.command.Stderr = write, write
	if err := d.command.Start(); err != nil {
		d.t.Fatal(err)
	}
	_ = write.Close()
	go func() {
		for scanner := bufio.NewScanner(read); scanner.Scan(); {
			d.mu.Lock()
			d.lines = append(d.lines, scanner.Text())
			d.mu.Unlock()
		}
		_ = read.Close()
	}()
	go func() { _ = d.command.Wait(); close(d.ended) }()
	d.t.Cleanup(func() {
		_ = d.command.Process.Signal(syscall.SIGTERM)
		<-d.ended
		if d.t.Failed() {
			d.t.Logf("dev %v:\n%s", d.command.Args[1:], d.output())
		}
	})
	return d
}

// run runs the command to its end and returns its exit code and output.
func (d *devRun) run() (int, string) {
	d.t.Helper()
	out, err := d.command.CombinedOutput()
	if d.command.ProcessState == nil {
		d.t.Fatal(err)
	}
	return d.command.ProcessState.ExitCode(), string(out)
}

func (d *devRun) output() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(d.lines, "\n")
}

func (d *devRun) await(text string) {
	d.t.Helper()
	testkit.EventuallyTrue(d.t, 5*time.Minute, "dev prints "+text, func() bool {
		select {
		case <-d.ended:
			d.t.Fatalf("dev ended before it printed %q:\n%s", text, d.output())
		default:
		}
		return strings.Contains(d.output(), text)
	})
}

// below returns every process below one, its children's children included, with their command lines.
func below(t *testing.T, pid int) map[int]string {
	t.Helper()
	out, err := exec.Command("ps", "-axo", "pid=,ppid=,args=").Output()
	if err != nil {
		t.Fatal(err)
	}
	type process struct {
		pid, parent int
		args        string
	}
	var all []process
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) < 3 {
			continue
		}
		id, _ := strconv.Atoi(fields[0])
		parent, _ := strconv.Atoi(fields[1])
		all = append(all, process{id, parent, strings.Join(fields[2:], " ")})
	}
	found := map[int]string{}
	for wanted := []int{pid}; len(wanted) > 0; wanted = wanted[1:] {
		for _, p := range all {
			if p.parent == wanted[0] {
				found[p.pid] = p.args
				wanted = append(wanted, p.pid)
			}
		}
	}
	return found
}

// TestDev is the life of a checkout: the first run with its exchange, another message, kills, a second run that remembers
// the first, and the reset.
func TestDev(t *testing.T) {
	t.Parallel()
	checkout := devCheckout(t)
	dev := devCommand(t, checkout, nil).start()
	dev.await("Say more: make say")
	for _, want := range []string{"(delivered)", "workflow      inbound:AC", "/namespaces/parley-dev/workflows/inbound:AC"} {
		if !strings.Contains(dev.output(), want) {
			t.Errorf("the first exchange lacks %q", want)
		}
	}
	first := devJSON(t, checkout)
	privateFiles(t, checkout)
	starterWorks(t, checkout, "owner", "show", "demo")

	if code, out := devCommand(t, checkout, nil, "say", "And on Sunday?").run(); code != 0 || !strings.Contains(out, "And on Sunday?") || !strings.Contains(out, "(delivered)") {
		t.Errorf("say: exit code %d\n%s", code, out)
	}
	for _, command := range []string{"-once", "reset"} {
		if code, out := devCommand(t, checkout, nil, command).run(); code == 0 || !strings.Contains(out, "runs in this checkout already") {
			t.Errorf("%s beside a run: exit code %d\n%s", command, code, out)
		}
	}
	for pid, args := range below(t, dev.command.Process.Pid) {
		if strings.HasSuffix(args, "/worker") && !strings.Contains(args, " guard ") {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	for _, role := range []string{"workflow", "account", "persistence", "identity", "billing", "reply", "messaging"} {
		dev.await(role + " ended (signal 9, killed); it is started again")
	}
	if code, out := devCommand(t, checkout, nil, "say", "Still there?").run(); code != 0 {
		t.Errorf("say after the kills: exit code %d\n%s", code, out)
	}

	everything := below(t, dev.command.Process.Pid)
	if len(everything) < 2*11 { // 11 children, each with its guard
		t.Errorf("%d processes below dev: %v", len(everything), everything)
	}
	if err := dev.command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, 30*time.Second, func() error {
		for pid, args := range everything {
			if syscall.Kill(pid, 0) == nil {
				return fmt.Errorf("after kill -9 of dev there is still: %s", args)
			}
		}
		return nil
	})

	if code, out := devCommand(t, checkout, nil, "-once").run(); code != 0 || !strings.Contains(out, "(delivered)") {
		t.Errorf("once: exit code %d\n%s", code, out)
	}
	if second := devJSON(t, checkout); second["account_sid"] != first["account_sid"] || withoutPort(t, second["database_url"]) != withoutPort(t, first["database_url"]) {
		t.Errorf("the second run does not remember the first: %v, %v", first, second)
	}
	if code, out := devCommand(t, checkout, nil, "reset").run(); code != 0 {
		t.Errorf("reset: exit code %d\n%s", code, out)
	}
	user, err := localstack.ServerUser()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(checkout, ".parley"), localstack.PostgresData(checkout, user)} {
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Errorf("the reset left %s: %v", path, err)
		}
	}
	if code, out := devCommand(t, checkout, nil, "say", "Hello?").run(); code == 0 || !strings.Contains(out, "make run") {
		t.Errorf("say without a run: exit code %d\n%s", code, out)
	}
}

// withoutPort is an address but for its port, which is another's where another's took it meanwhile.
func withoutPort(t *testing.T, address string) string {
	t.Helper()
	parsed, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	parsed.Host = parsed.Hostname()
	return parsed.String()
}

func devJSON(t *testing.T, checkout string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(checkout, ".parley", "dev.json"))
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{}
	if err := json.Unmarshal(text, &values); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"account_sid", "admin_url", "auth_token", "company_number", "customer_number", "database_url", "simulator_url",
		"temporal_address", "temporal_ui_url", "webhook_url",
	}
	var keys []string
	for key, value := range values {
		keys = append(keys, key)
		if value == "" {
			t.Errorf("dev.json: %s is empty", key)
		}
	}
	slices.Sort(keys)
	if !slices.Equal(keys, want) {
		t.Errorf("dev.json has %v, want %v", keys, want)
	}
	return values
}

func privateFiles(t *testing.T, checkout string) {
	t.Helper()
	for _, name := range []string{"dev.json", "dev.env", "keyset.json", "payload-keyset.json", "state.json"} {
		info, err := os.Stat(filepath.Join(checkout, ".parley", name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}

// starterWorks runs starter as a developer would: in a shell that has read dev.env, over what it had before.
func starterWorks(t *testing.T, checkout string, args ...string) {
	t.Helper()
	shell := devCommand(t, checkout, nil).command // for its environment
	shell.Path, shell.Args = "/bin/sh", []string{"sh", "-c", "set -a; . .parley/dev.env; set +a; exec " + testkit.Binary(t, "starter") + " " + strings.Join(args, " ")}
	if out, err := shell.CombinedOutput(); err != nil {
		t.Errorf("starter %v: %v\n%s", args, err, out)
	}
}

// TestDevNamesEverythingThatIsMissing runs a dev that has nothing beside it.
func TestDevNamesEverythingThatIsMissing(t *testing.T) {
	t.Parallel()
	checkout := devCheckout(t)
	dev := devCommand(t, checkout, []string{"PATH=" + t.TempDir()}, "-twilio")
	lonely := filepath.Join(t.TempDir(), "dev")
	if err := os.Link(dev.command.Path, lonely); err != nil { // another file system
		if err := exec.Command("cp", dev.command.Path, lonely).Run(); err != nil {
			t.Fatal(err)
		}
	}
	dev.command.Path = lonely
	begun := time.Now()
	code, out := dev.run()
	if took := time.Since(begun); code == 0 || took > time.Minute { // it waits for nothing
		t.Errorf("exit code %d after %s", code, took)
	}
	for _, want := range []string{
		"binary webhook", "binary worker", "binary starter", "binary simulator", "Go, to build", "TWILIO_ACCOUNT_SID:",
		"TWILIO_AUTH_TOKEN:", "TWILIO_NUMBER:", "PARLEY_PUBLIC_URL:", "install it with:",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the report lacks %q:\n%s", want, out)
		}
	}
}

// TestDevRefusesForeignTables names a database that dev did not make.
func TestDevRefusesForeignTables(t *testing.T) {
	t.Parallel()
	for name, databaseURL := range map[string]string{"Parley's, made by others": testkit.Postgres(t), "others'": foreign(t)} {
		dev := devCommand(t, devCheckout(t), []string{"PARLEY_DEV_DATABASE_URL=" + databaseURL, "PARLEY_DEV_TEMPORAL_ADDRESS=" + testkit.Temporal(t).Address}, "-once")
		if code, out := dev.run(); code == 0 || !strings.Contains(out, "give it one of its own") {
			t.Errorf("%s: exit code %d\n%s", name, code, out)
		}
	}
}

func foreign(t *testing.T) string {
	t.Helper()
	databaseURL := testkit.EmptyPostgres(t)
	if _, err := testkit.Pool(t, databaseURL).Exec(t.Context(), "CREATE TABLE invoices ()"); err != nil {
		t.Fatal(err)
	}
	return databaseURL
}

// TestDevUsesWhatItIsGiven runs on servers that the developer names, with the real Twilio replaced by another base URL,
// and removes what it made there.
func TestDevUsesWhatItIsGiven(t *testing.T) {
	t.Parallel()
	checkout := devCheckout(t)
	databaseURL := testkit.EmptyPostgres(t)
	given := []string{"PARLEY_DEV_DATABASE_URL=" + databaseURL, "PARLEY_DEV_TEMPORAL_ADDRESS=" + testkit.EmptyTemporal(t).Address}
	if code, out := devCommand(t, checkout, given, "-once").run(); code != 0 || !strings.Contains(out, "named by PARLEY_DEV_DATABASE_URL") {
		t.Fatalf("once: exit code %d\n%s", code, out)
	}
	twilio := append(slices.Clone(given), "TWILIO_ACCOUNT_SID=AC0123456789abcdef0123456789abcdef", "TWILIO_AUTH_TOKEN=token",
		"TWILIO_NUMBER=+14155550199", "PARLEY_PUBLIC_URL=https://parley.example.com", "PARLEY_TWILIO_BASE_URL=http://127.0.0.1:9")
	if code, out := devCommand(t, checkout, twilio, "-twilio", "-once").run(); code != 0 || !strings.Contains(out, "https://parley.example.com/webhooks/twilio/inbound") || strings.Contains(out, "simulator   |") {
		t.Errorf("twilio: exit code %d\n%s", code, out)
	}
	if code, out := devCommand(t, checkout, given, "reset").run(); code != 0 {
		t.Errorf("reset: exit code %d\n%s", code, out)
	}
	if err := localstack.RefuseTables(t.Context(), databaseURL); err != nil {
		t.Errorf("the reset left tables: %v", err)
	}
}
