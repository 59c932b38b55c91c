package localstack

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"

	"parley/contract"
)

// TemporalServer says how to run Temporal's development server.
type TemporalServer struct {
	Binary string
	Dir    string // holds its database; made if it does not exist
	Remove bool   // the folder is removed when the server stops
	Port   *Port
	UI     *Port // nil: no UI
}

// Start runs the server under a guard. It returns when the server answers.
func (s TemporalServer) Start(ctx context.Context, guard Guard, output func(string)) (*Process, error) {
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return nil, err
	}
	env, err := Environment(filepath.Join(s.Dir, "home"))
	if err != nil {
		return nil, err
	}
	command := Command{Path: s.Binary, Args: s.args(), Env: env, Dir: s.Dir, Output: output}
	if s.Remove {
		command.Remove = s.Dir
	}
	process, err := guard.Start(command)
	if err != nil {
		return nil, err
	}
	if err := awaitReady(ctx, process, "temporal", func(ctx context.Context) error { return PingTemporal(ctx, s.Port.Address()) }); err != nil {
		process.Stop()
		return nil, err
	}
	return process, nil
}

func (s TemporalServer) args() []string {
	args := []string{
		"server", "start-dev", "--disable-config-file", "--disable-config-env", "--log-level", "error",
		"--ip", "127.0.0.1", "--port", strconv.Itoa(s.Port.Number),
		"--db-filename", filepath.Join(s.Dir, "temporal.db"), "--sqlite-pragma", "journal_mode=wal", "--sqlite-pragma", "synchronous=normal",
		// Without these two every hop of a flow waits 50 ms.
		"--dynamic-config-value", "history.transferProcessorMaxPollRPS=200",
		"--dynamic-config-value", "history.timerProcessorMaxPollRPS=200",
		// Without this every timer and retry takes at least a second.
		"--dynamic-config-value", `history.timerProcessorMaxTimeShift="50ms"`,
		// Without this a search attribute that was just registered is unknown for up to a minute.
		"--dynamic-config-value", "system.forceSearchAttributesCacheRefreshOnRead=true",
	}
	for _, name := range contract.SearchAttributes() {
		args = append(args, "--search-attribute", name+"=Keyword")
	}
	if s.UI == nil {
		return append(args, "--headless")
	}
	return append(args, "--ui-port", strconv.Itoa(s.UI.Number))
}

// DialTemporal returns a client of a namespace at an address, and of nothing else: it reads no variable and no profile.
// It does not connect before its first use.
func DialTemporal(address, namespace string) (client.Client, error) {
	return client.NewLazyClient(client.Options{
		HostPort: address, Namespace: namespace,
		Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler)),
	})
}

// PingTemporal reports whether a server answers at the address.
func PingTemporal(ctx context.Context, address string) error {
	c, err := DialTemporal(address, "default")
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.CheckHealth(ctx, &client.CheckHealthRequest{}); err != nil {
		return fmt.Errorf("temporal at %s: %w", address, err)
	}
	return nil
}
