package cli_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"parley/internal/domain"
	"parley/starter/internal/cli"
	"parley/starter/internal/doctor"
	"parley/starter/internal/provision"
)

func TestEveryCommandAndFlagIsDescribed(t *testing.T) {
	t.Parallel()
	root := cli.New(cli.Parts{}, cli.Streams{})
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Short == "" {
			t.Errorf("%s: no description", c.CommandPath())
		}
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" {
				t.Errorf("%s: --%s has no description", c.CommandPath(), f.Name)
			}
		})
		s := newStarter()
		s.noStore = domain.Errorf(domain.KindConfiguration, "help needs no configuration")
		path := strings.Fields(c.CommandPath())[1:]
		if help, _ := s.must(t, 0, append([]string{"help"}, path...)...); !strings.Contains(help, c.Short) && !strings.Contains(help, c.Long) {
			t.Errorf("%s: help says %q", c.CommandPath(), help)
		}
		for _, below := range c.Commands() {
			walk(below)
		}
	}
	walk(root)
}

func TestExitCodesOfKinds(t *testing.T) {
	t.Parallel()
	for kind, code := range map[domain.Kind]int{
		domain.KindInternal: 1, domain.KindInvalid: 2, domain.KindNotFound: 3, domain.KindConflict: 4, domain.KindDenied: 4,
		domain.KindConfiguration: 5, domain.KindUnavailable: 6, domain.KindBusy: 6, domain.KindThrottled: 6, domain.KindUnknownOutcome: 11,
	} {
		if got := cli.ExitCode(fmt.Errorf("wrapped: %w", domain.Errorf(kind, "x"))); got != code {
			t.Errorf("%s: got %d, want %d", kind, got, code)
		}
	}
	if cli.ExitCode(nil) != 0 || cli.ExitCode(context.DeadlineExceeded) != 1 {
		t.Error("no error is 0, an error without a kind is 1")
	}
}

func TestExitCodesAreDocumented(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile(filepath.Join("..", "..", "doc.go"))
	if err != nil {
		t.Fatal(err)
	}
	topic, _ := newStarter().must(t, 0, "help", "exit-codes")
	rows := 0
	for line := range strings.Lines(topic) {
		if line = strings.TrimSpace(line); line != "" && line[0] >= '0' && line[0] <= '9' {
			rows++
			if !strings.Contains(string(doc), " "+line+"\n") && !strings.Contains(string(doc), "\t"+line+"\n") {
				t.Errorf("doc.go does not say: %s", line)
			}
		}
	}
	if rows < 10 {
		t.Errorf("the topic has %d codes:\n%s", rows, topic)
	}
}

func TestWrongCommandLines(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"bogus", "owner bogus", "owner add", "owner add acme", "owner add Acme! --name x", "owner show", "owner set acme", "owner set acme x",
		"owner set acme nope=1", "owner set acme language=pt-BR language=en", "owner unset acme nope", "owner list --bogus",
		"account add " + accountA, "account add AC1 --token-env T", "account add " + accountA + " --token-env T --token-file F",
		"account add " + accountA + " --token-env UNSET", "account add " + accountA + " --token-env ODD", "account rotate " + accountA,
		"account rotate " + accountA + " --token-env TOKEN --keep -1h", "account rotate " + accountA + " --token-env TOKEN --api-key SK1",
		"account rotate AC1 --token-env TOKEN", "account drop-token " + accountA,
		"sender add " + accountA + " nonsense! --owner acme", "sender add " + accountA + " +15551230000",
		"send --from +15551230000", "send --from +15551230000 --to +15557654321", "send --from x:y --to +15557654321 --body hi",
		"send --from +15551230000 --to whatsapp:+15557654321 --body hi", "send --from +15551230000 --to +15557654321 --media ftp://x/y",
		"parked --limit 0", "spool list --limit 0", "unrouted list --limit 0", "unrouted start " + accountA, "spool remove " + accountA, "retry", "cancel", "show",
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			s := newStarter()
			s.env["TOKEN"], s.env["ODD"] = "token", "to-ken"
			stdout, err := s.must(t, 2, strings.Fields(line)...)
			if stdout != "" || err.Error() == "" || len(s.temporal.Starts) != 0 {
				t.Errorf("got %q, %v", stdout, err)
			}
		})
	}
}

func TestAllProblemsOfSettingsAtOnce(t *testing.T) {
	t.Parallel()
	s := newStarter()
	_, err := s.must(t, 2, "owner", "set", "acme", "language=xx", "nope=1", "reply_deadline=forever")
	for _, name := range []string{"language", "nope", "reply_deadline"} {
		if !strings.Contains(err.Error(), name+":") {
			t.Errorf("%s is not reported: %v", name, err)
		}
	}
	if len(s.directory.settings) != 0 {
		t.Errorf("stored: %v", s.directory.settings)
	}
}

func TestOwners(t *testing.T) {
	t.Parallel()
	s := newStarter()
	s.must(t, 0, "owner", "add", "beta", "--name", "Beta")
	s.must(t, 0, "owner", "set", "beta", "language=pt-BR", "reply_deadline=5m")
	if out, _ := s.must(t, 0, "owner", "show", "beta"); !strings.Contains(out, "reply_deadline = 5m0s") || !strings.Contains(out, "language = pt-BR") {
		t.Errorf("got %s", out)
	}
	s.must(t, 0, "owner", "unset", "beta", "reply_deadline")
	if out, _ := s.must(t, 0, "owner", "show", "beta"); !strings.Contains(out, "reply_deadline = 10m0s") {
		t.Errorf("got %s", out)
	}
	s.must(t, 3, "owner", "show", "nobody")
	s.must(t, 3, "sender", "list", "--owner", "nobody")
	s.must(t, 3, "parked", "--owner", "nobody")
}

func TestTokensComeFromFilesAndTheEnvironment(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("fromfile\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newStarter()
	s.env["T"], s.stdin = "fromenv", "fromstdin\n"
	for want, flags := range map[string][]string{
		"fromfile": {"--token-file", file}, "fromenv": {"--token-env", "T"}, "fromstdin": {"--token-file", "-"},
	} {
		out, _ := s.must(t, 0, append([]string{"account", "add", accountB, "--json"}, flags...)...)
		if s.directory.tokens[accountB] != want || strings.Contains(out, want) {
			t.Errorf("%v: stored %q, printed %s", flags, s.directory.tokens[accountB], out)
		}
	}
	s.must(t, 2, "account", "add", accountB, "--token-file", file+".missing")
	s.must(t, 0, "account", "remove", accountB)
	s.must(t, 3, "account", "remove", accountB)
}

func TestRotateAccount(t *testing.T) {
	t.Parallel()
	s := newStarter()
	s.env["T"] = "newtoken"
	for _, test := range []struct {
		flags []string
		want  rotation
	}{
		{nil, rotation{accountA, domain.NewToken{Secret: "newtoken", AddedBy: "ops@desk"}, 24 * time.Hour}},
		{[]string{"--keep", "0"}, rotation{accountA, domain.NewToken{Secret: "newtoken", AddedBy: "ops@desk"}, 0}},
		{
			[]string{"--api-key", apiKey, "--keep", "90m"},
			rotation{accountA, domain.NewToken{APIKey: apiKey, Secret: "newtoken", AddedBy: "ops@desk"}, 90 * time.Minute},
		},
	} {
		out, _ := s.must(t, 0, append([]string{"account", "rotate", accountA, "--token-env", "T"}, test.flags...)...)
		if got := s.directory.rotated[len(s.directory.rotated)-1]; got != test.want || strings.Contains(out, "newtoken") {
			t.Errorf("%v: told %+v, printed %s", test.flags, got, out)
		}
	}
	s.must(t, 3, "account", "rotate", accountB, "--token-env", "T")
	s.must(t, 3, "account", "drop-token", accountB, newestToken)
	s.must(t, 4, "account", "drop-token", accountA, "another")
}

func TestSenders(t *testing.T) {
	t.Parallel()
	s := newStarter()
	s.directory.owners["beta"] = domain.Owner{OwnerID: "beta"}
	s.must(t, 0, "sender", "add", accountA, "whatsapp:+15551230000", "--owner", "acme")
	if added := s.directory.senders[1]; added.Channel != domain.ChannelWhatsApp || added.Address != "+15551230000" {
		t.Errorf("added %+v", added)
	}
	s.must(t, 4, "sender", "add", accountA, "+15551230000", "--owner", "beta")
	s.must(t, 3, "sender", "add", accountA, "+15551239999", "--owner", "nobody")
	s.must(t, 0, "sender", "remove", accountA, "+15551230000")
	s.must(t, 3, "sender", "remove", accountA, "+15551230000")
}

func TestTheSpool(t *testing.T) {
	t.Parallel()
	s := newStarter()
	if out, _ := s.must(t, 0, "spool", "list"); out != "nothing waits\n" {
		t.Errorf("got %s", out)
	}
	s.spool = spool{{SpoolKey: domain.SpoolKey{AccountSid: accountA, MessageSid: stranger}}}
	s.must(t, 3, "spool", "remove", accountB, stranger)
	s.must(t, 0, "spool", "remove", accountA, stranger)
	s.must(t, 3, "spool", "remove", accountA, stranger)
	s.noStore = domain.Errorf(domain.KindUnavailable, "the database does not answer")
	if out, _ := s.must(t, 6, "spool", "list"); out != "" {
		t.Errorf("printed %s", out)
	}
}

func TestKeygenNeedsNoConfigurationAndNeverOverwrites(t *testing.T) {
	t.Parallel()
	s := newStarter()
	s.noStore = domain.Errorf(domain.KindConfiguration, "nothing is configured")
	if out, _ := s.must(t, 0, "secrets", "keygen"); out != `{"key":"new"}`+"\n" {
		t.Errorf("got %q", out)
	}
	file := filepath.Join(t.TempDir(), "keyset.json")
	s.must(t, 0, "secrets", "keygen", "--out", file)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v", info, err)
	}
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.must(t, 4, "secrets", "keygen", "--out", file)
	if content, _ := os.ReadFile(file); string(content) != "precious" {
		t.Errorf("the file now holds %q", content)
	}
}

func TestSetupThatIsNotReadyPrintsWhoMustDoWhat(t *testing.T) {
	t.Parallel()
	s := newStarter()
	s.report = provision.Report{
		SchemaVersion: 1, Namespace: provision.Namespace{Name: "parley", State: provision.Missing},
		Commands: []string{"temporal operator namespace create --namespace parley --retention 30d"},
	}
	if out, _ := s.must(t, 7, "setup"); !strings.Contains(out, s.report.Commands[0]+"\n") {
		t.Errorf("got %s", out)
	}
	s.report.Ready, s.report.Commands = true, nil
	s.must(t, 0, "setup")
}

func TestDoctorFailsOnlyWhereSomethingHas(t *testing.T) {
	t.Parallel()
	s := newStarter()
	s.health = unwell(doctor.Warning)
	s.must(t, 0, "doctor")
	s.health = unwell(doctor.Failed)
	for _, format := range []string{"--json=false", "--json"} {
		if out, _ := s.must(t, 8, "doctor", format); !strings.Contains(out, "nobody listens") {
			t.Errorf("what was found is not printed: %s", out)
		}
	}
}
