package cli

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"parley/internal/domain"
)

func (c *commands) secrets() *cobra.Command {
	return group("secrets", "Manage the key that encrypts secrets at rest", c.keygen())
}

func (c *commands) keygen() *cobra.Command {
	var out string
	command := &cobra.Command{
		Use:   "keygen",
		Short: "Make a new keyset, for PARLEY_KEYSET_FILE or PARLEY_PAYLOAD_KEYSET_FILE",
		Long: long("Keygen makes a new Tink keyset. It needs no configuration.\n\nKeep it: what was encrypted with a keyset is " +
			"lost with it. Whoever has it and the database can read every auth token."),
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
