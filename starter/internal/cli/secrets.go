package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"parley/internal/domain"
	"parley/internal/secrets"
	"parley/starter/internal/provision"
)

func (c *commands) secrets() *cobra.Command {
	g := group("secrets", "Manage the keysets that encrypt what is stored", c.keygen(),
		c.editKeyset("add-key FILE", "Add a key to a keyset, which decrypts but does not encrypt yet",
			"Add-key is the first step by which a key takes the place of another. Give the keyset to every process before the next one.",
			secrets.AddKey),
		c.editKeyset("promote FILE", "Let the newest key of a keyset encrypt",
			"Promote is the second step by which a key takes the place of another: what is written from now on is encrypted with the newest key. "+
				"Every process must have that key already.",
			secrets.Promote),
		c.rotate(), c.dropKeys())
	g.Long = long("There are two keysets: one for secrets in the database (PARLEY_KEYSET), one for what Temporal stores " +
		"(PARLEY_PAYLOAD_KEYSET). A key takes the place of another without any process being stopped:\n\n" +
		"  1  add-key, and give the file to every process\n" +
		"  2  promote, and give the file to every process\n" +
		"  3  rotate, which encrypts anew what is stored\n" +
		"  4  drop-keys, once nothing needs the older key\n\n" +
		"A process reads its keyset's file again within 10 seconds; one that has its keyset in a variable has to be restarted.")
	return g
}

func (c *commands) keygen() *cobra.Command {
	var out string
	command := &cobra.Command{
		Use:   "keygen",
		Short: "Make a new keyset, for PARLEY_KEYSET_FILE or PARLEY_PAYLOAD_KEYSET_FILE",
		Long: long("Keygen makes a new Tink keyset. It needs no configuration.\n\nKeep it: what was encrypted with a keyset is " +
			"lost with it. Whoever has it can read that, wherever a copy of it lies."),
		Args: cobra.NoArgs,
		RunE: c.do(func(context.Context, []string) (result, error) {
			keyset, err := c.parts.NewKeyset()
			if err != nil {
				return nil, err
			}
			if out == "" {
				return newKeyset{Keyset: keyset}, nil
			}
			if err := writeNew(out, keyset+"\n"); err != nil {
				return nil, err
			}
			return newKeyset{File: out}, nil
		}),
	}
	command.Flags().StringVar(&out, "out", "", "write it to this new file, readable by its owner only")
	return command
}

// writeNew writes a file that must not exist: an overwritten keyset is lost, and all that it encrypted with it.
func writeNew(name, content string) (err error) {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if os.IsExist(err) {
		return domain.Errorf(domain.KindConflict, "%s exists; it is not overwritten", name)
	}
	if err != nil {
		return domain.Errorf(domain.KindInvalid, "write %s: %w", name, err)
	}
	_, err = file.WriteString(content)
	if syncing := file.Sync(); err == nil {
		err = syncing
	}
	if closing := file.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return domain.Errorf(domain.KindInternal, "write %s: %w", name, err)
	}
	return nil
}

type newKeyset struct {
	Keyset string `json:"keyset,omitempty"`
	File   string `json:"file,omitempty"`
}

func (r newKeyset) print(p *page) {
	if r.File != "" {
		p.line("wrote %s: set PARLEY_KEYSET_FILE or PARLEY_PAYLOAD_KEYSET_FILE to it", r.File)
		return
	}
	p.line("%s", r.Keyset)
}

const ofFiles = "\n\nFILE is replaced as a whole, and keeps its owner and mode; with - the keyset is read from the standard input and the other one is " +
	"printed. Running it again changes nothing."

// editKeyset is a command that changes a keyset.
func (c *commands) editKeyset(use, short, about string, change func(string) (string, bool, error)) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short,
		Long: long(about + " It needs no configuration." + ofFiles),
		Args: cobra.ExactArgs(1),
		RunE: c.do(func(_ context.Context, args []string) (result, error) {
			before, err := c.readKeyset(args[0])
			if err != nil {
				return nil, err
			}
			after, changed, err := change(before)
			if err != nil {
				return nil, err
			}
			return c.edited(args[0], after, changed)
		}),
	}
}

func (c *commands) dropKeys() *cobra.Command {
	return &cobra.Command{
		Use:   "drop-keys FILE",
		Short: "Remove all keys of a keyset but the one that encrypts",
		Long: long("Drop-keys is the last step by which a key takes the place of another. What is encrypted with a key that is dropped is lost, unless the " +
			"keyset of before is kept.\n\nWhere a secret in the database still needs such a key it is refused (exit code 4): 'starter secrets rotate' mends " +
			"that. So it is in the first seconds after FILE was changed, while processes may still encrypt with such a key. What Temporal holds it does not look at: keep an older payload key for as long as flows run and are kept that began before the newer one " +
			"was promoted (docs/operations.md says how long)." + ofFiles),
		Args: cobra.ExactArgs(1),
		RunE: c.do(func(ctx context.Context, args []string) (result, error) {
			before, err := c.readKeyset(args[0])
			if err != nil {
				return nil, err
			}
			after, changed, err := secrets.DropOlderKeys(before)
			if err != nil {
				return nil, err
			}
			if err := errors.Join(everywhere(args[0], changed), c.notNeeded(ctx, before, after)); err != nil {
				return nil, err
			}
			return c.edited(args[0], after, changed)
		}),
	}
}

// readWithin is how long after its change a keyset's file is what every process encrypts with.
const readWithin = secrets.LookEvery + 5*time.Second

// everywhere returns KindConflict where a file, if it is to be changed, was just changed: a process may encrypt with an older key until it reads it
// again, and what it writes would not be counted.
func everywhere(file string, changes bool) error {
	if file == "-" || !changes { // nobody knows how old a variable's value is
		return nil
	}
	info, err := os.Stat(file)
	if err != nil {
		return domain.Errorf(domain.KindInvalid, "read the keyset: %w", err)
	}
	if age := time.Since(info.ModTime()); age < readWithin {
		return domain.Errorf(domain.KindConflict, "%s was changed %s ago, and processes may encrypt with an older key until %s after that: wait, then run "+
			"'starter secrets rotate' first", file, age.Round(time.Second), readWithin)
	}
	return nil
}

// notNeeded returns KindConflict where something in the database can be read with one keyset and not with another.
func (c *commands) notNeeded(ctx context.Context, before, after string) error {
	more, err := secrets.Load("the keyset", before, "")
	if err != nil {
		return err
	}
	fewer, err := secrets.Load("the keyset", after, "")
	if err != nil {
		return err
	}
	vault, err := c.parts.Vault(ctx)
	if err != nil {
		return err
	}
	n, err := vault.Count(ctx, func(ciphertext []byte) bool { return more.Has(ciphertext) && !fewer.Has(ciphertext) })
	if err == nil && n > 0 {
		err = domain.Errorf(domain.KindConflict, "values in the database that need a key which would be dropped: %d; run 'starter secrets rotate' first", n)
	}
	return err
}

func (c *commands) readKeyset(file string) (string, error) {
	var content []byte
	var err error
	if file == "-" {
		content, err = io.ReadAll(io.LimitReader(c.streams.In, 1<<20))
	} else {
		content, err = os.ReadFile(file)
	}
	if err != nil {
		return "", domain.Errorf(domain.KindInvalid, "read the keyset: %w", err)
	}
	return strings.TrimSpace(string(content)), nil
}

func (c *commands) edited(file, keyset string, changed bool) (result, error) {
	keys, err := secrets.Keys(keyset)
	if err != nil {
		return nil, err
	}
	r := editedKeyset{Changed: changed, Keys: keys}
	if file == "-" {
		r.Keyset = keyset
		return r, nil
	}
	r.File = file
	if changed {
		err = replaceFile(file, keyset+"\n")
	}
	return r, err
}

// replaceFile puts another file in the place of one at once: nobody finds half a keyset, whenever this is killed. The new one can be read
// by whom the old one could.
func replaceFile(name, content string) error {
	target, err := filepath.EvalSymlinks(name)
	if err != nil {
		return domain.Errorf(domain.KindInvalid, "write %s: %w", name, err)
	}
	info, err := os.Stat(target)
	if err != nil {
		return domain.Errorf(domain.KindInvalid, "write %s: %w", name, err)
	}
	draft := target + ".new"
	if err := writeNew(draft, content); domain.KindOf(err) == domain.KindConflict {
		return domain.Errorf(domain.KindConflict, "%s exists: another command is changing the keyset, or was killed while it did; where none runs, remove that file and run this again", draft)
	} else if err != nil {
		return err
	}
	err = os.Chmod(draft, info.Mode().Perm())
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && err == nil {
		err = os.Chown(draft, int(owner.Uid), int(owner.Gid))
	}
	if err == nil {
		err = os.Rename(draft, target)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(draft))
		return domain.Errorf(domain.KindInvalid, "write %s: %w", name, err)
	}
	return nil
}

type editedKeyset struct {
	Keyset  string        `json:"keyset,omitempty"`
	File    string        `json:"file,omitempty"`
	Changed bool          `json:"changed"`
	Keys    []secrets.Key `json:"keys"`
}

func (r editedKeyset) print(p *page) {
	if r.Keyset != "" {
		p.line("%s", r.Keyset)
		return
	}
	p.line("%s %s", map[bool]string{true: "changed", false: "unchanged:"}[r.Changed], r.File)
	for _, key := range r.Keys {
		p.field("key", fmt.Sprintf("%d, %s", key.KeyID, map[bool]string{true: "encrypts and decrypts", false: "decrypts"}[key.Primary]))
	}
}

func (c *commands) rotate() *cobra.Command {
	return &cobra.Command{
		Use:   "rotate",
		Short: "Encrypt anew, with the primary key, all that is stored",
		Long: long("Rotate encrypts with the primary key of PARLEY_KEYSET whatever in the database is encrypted with another: tokens, and messages that could not " +
			"be handed on yet; and with that of PARLEY_PAYLOAD_KEYSET what Temporal's schedules give their flows. Histories stay as they are.\n\n" +
			"The processes may run meanwhile. It may be stopped and run again at any moment; run it until it finds nothing to do, once every process has the " +
			"keyset whose newest key is primary."),
		Args: cobra.NoArgs,
		RunE: c.do(func(ctx context.Context, _ []string) (result, error) {
			vault, err := c.parts.Vault(ctx)
			if err != nil {
				return nil, err
			}
			r := rotated{Schedules: []provision.Schedule{}}
			if r.Reencrypted, err = vault.Reencrypt(ctx); err != nil {
				return nil, err
			}
			if r.Schedules, err = c.parts.Schedules(ctx); err != nil {
				return r, err
			}
			if r.Unusable > 0 {
				err = domain.Errorf(domain.KindConfiguration, "PARLEY_KEYSET lacks the key of some values; they were left as they are")
			}
			for _, schedule := range r.Schedules {
				if schedule.State == provision.Missing || schedule.State == provision.Outdated {
					err = errors.Join(err, domain.Errorf(domain.KindConfiguration, "schedule %s is %s: Temporal does not let this account change it", schedule.Name, schedule.State))
				}
			}
			return r, err
		}),
	}
}

type rotated struct {
	domain.Reencrypted
	Schedules []provision.Schedule `json:"schedules"`
}

func (r rotated) print(p *page) {
	p.line("encrypted anew in the database: %d", r.Values)
	for _, schedule := range r.Schedules {
		p.field("schedule", fmt.Sprintf("%s: %s", schedule.Name, schedule.State))
	}
	if r.Unusable > 0 {
		p.section(fmt.Sprintf("Cannot be decrypted: %d", r.Unusable))
		for _, place := range r.Places {
			p.line("  %s", place)
		}
	}
}
