package localstack

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// superuser is the cluster's only role.
const superuser = "parley"

// passwordFile lies in the data folder, which only the server's user may enter.
const passwordFile = "parley.password"

// Cluster is a private Postgres cluster on disk. It listens on loopback TCP only and asks for a random password.
type Cluster struct {
	binaries PostgresBinaries
	user     *User
	dir      string
	password string
	tests    bool
	guard    Guard
}

// OpenCluster returns the cluster whose data lies in dir, and makes it where there is none. Its version decides which
// binaries run it.
func OpenCluster(ctx context.Context, guard Guard, dir string) (*Cluster, error) {
	user, err := ServerUser()
	if err != nil {
		return nil, err
	}
	c := &Cluster{user: user, dir: dir, guard: guard}
	if err := c.open(ctx); err != nil {
		return nil, fmt.Errorf("postgres cluster in %s: %w", dir, err)
	}
	return c, nil
}

// OpenTestCluster makes a cluster for tests in a temporary folder: it trades the safety of its data for speed, and its
// folder is removed when it stops.
func OpenTestCluster(ctx context.Context, guard Guard) (*Cluster, error) {
	user, err := ServerUser()
	if err != nil {
		return nil, err
	}
	dir, err := TemporaryData(user)
	if err != nil {
		return nil, err
	}
	c := &Cluster{user: user, dir: filepath.Join(dir, "postgres"), tests: true, guard: guard}
	if err := c.open(ctx); err != nil {
		os.RemoveAll(dir)
		return nil, fmt.Errorf("postgres cluster for tests: %w", err)
	}
	return c, nil
}

func (c *Cluster) open(ctx context.Context) error {
	made, err := os.ReadFile(filepath.Join(c.dir, "PG_VERSION"))
	if errors.Is(err, os.ErrNotExist) {
		return c.make(ctx)
	}
	if err != nil {
		return err
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(made)))
	if err != nil {
		return fmt.Errorf("PG_VERSION: %w", err)
	}
	if c.binaries, err = FindPostgres(ctx, c.user, major); err != nil {
		return err
	}
	password, err := os.ReadFile(filepath.Join(c.dir, passwordFile))
	c.password = string(password)
	return err
}

// make runs initdb in a folder beside the final one and renames it: a cluster that is half made is never used.
func (c *Cluster) make(ctx context.Context) (err error) {
	if c.binaries, err = FindPostgres(ctx, c.user, 0); err != nil {
		return err
	}
	c.password = rand.Text()
	half, password := halfMade(c.dir), passwordBeside(c.dir)
	defer os.Remove(password)
	if err := errors.Join(os.RemoveAll(half), os.MkdirAll(half, 0o755), os.Chmod(half, 0o700), os.WriteFile(password, []byte(c.password), 0o600)); err != nil {
		return err
	}
	if c.user != nil {
		if err := errors.Join(c.give(half), c.give(password)); err != nil {
			return err
		}
	}
	args := []string{"-D", half, "-U", superuser, "--pwfile", password, "--auth=scram-sha-256", "-E", "UTF8", "--locale=C", "--no-instructions"}
	if c.tests {
		args = append(args, "--no-sync")
	}
	_, err = c.guard.Run(ctx, Command{
		Path: filepath.Join(c.binaries.Dir, "initdb"), Args: args, Env: serverEnvironment(), Dir: "/", User: c.user,
	})
	if err != nil {
		return err
	}
	return errors.Join(os.Rename(password, filepath.Join(half, passwordFile)), os.Rename(half, c.dir))
}

// The names beside a data folder while its cluster is made.
func halfMade(data string) string       { return data + ".new" }
func passwordBeside(data string) string { return data + ".password" }

func serverEnvironment() []string { return []string{"PATH=" + os.Getenv("PATH"), "TZ=UTC"} }

func (c *Cluster) give(path string) error { return os.Chown(path, int(c.user.UID), int(c.user.GID)) }

// Version is the major version of the server.
func (c *Cluster) Version() int { return c.binaries.Major }

// URL is the address of a database of the cluster when it runs on a port.
func (c *Cluster) URL(port *Port, database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(superuser, c.password), Host: port.Address(), Path: database,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// Start runs the server under a guard. It returns when the server answers.
func (c *Cluster) Start(ctx context.Context, port *Port, output func(string)) (*Process, error) {
	command := Command{
		Path: filepath.Join(c.binaries.Dir, "postgres"), Args: c.settings(port),
		Env: serverEnvironment(), Dir: "/", User: c.user,
		StopSignal: syscall.SIGINT, // fast: ends sessions instead of waiting for them, as SIGTERM would
		Output:     output,
	}
	if c.tests {
		command.Remove = filepath.Dir(c.dir)
	}
	process, err := c.guard.Start(command)
	if err != nil {
		return nil, err
	}
	if err := awaitReady(ctx, process, "postgres", func(ctx context.Context) error { return PingPostgres(ctx, c.URL(port, "postgres")) }); err != nil {
		process.Stop()
		return nil, err
	}
	return process, nil
}

func (c *Cluster) settings(port *Port) []string {
	settings := []string{
		"port=" + strconv.Itoa(port.Number), "listen_addresses=127.0.0.1", "unix_socket_directories=",
		"log_checkpoints=off", "jit=off", "max_connections=400",
	}
	if c.tests {
		settings = append(settings, "fsync=off", "synchronous_commit=off", "full_page_writes=off", "wal_level=minimal", "max_wal_senders=0")
	}
	args := []string{"-D", c.dir}
	for _, setting := range settings {
		args = append(args, "-c", setting)
	}
	return args
}

// PingPostgres reports whether the server answers at a URL and is new enough.
func PingPostgres(ctx context.Context, databaseURL string) error {
	conn, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var number int
	if err := conn.QueryRow(ctx, "SELECT current_setting('server_version_num')::int").Scan(&number); err != nil {
		return err
	}
	if number/10_000 < OldestPostgres {
		return fmt.Errorf("the server is Postgres %d, want %d or newer", number/10_000, OldestPostgres)
	}
	return nil
}

// awaitReady asks until the process is ready, has ended, or the bound has passed.
func awaitReady(ctx context.Context, process *Process, name string, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		attempt, done := context.WithTimeout(ctx, 5*time.Second)
		err := ready(attempt)
		done()
		if err == nil {
			return nil
		}
		select {
		case <-process.Ended():
			return fmt.Errorf("%s ended while starting: %s", name, process.Cause())
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer: %w", name, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
