package localstack

import (
	"os"
	"path/filepath"
)

// Environment returns an environment made from nothing for a child: a path, a folder for temporary files, and a home of
// its own. No DATABASE_URL, no TEMPORAL_* and no profile of the developer reaches the child: Temporal's libraries and
// CLI read a profile file even when no variable is set, so the variable names an empty one. The folder is made.
func Environment(home string, more ...string) ([]string, error) {
	profile := filepath.Join(home, "temporal.toml")
	if err := os.MkdirAll(home, 0o755); err != nil {
		return nil, err
	}
	if _, err := os.Stat(profile); err != nil {
		if err := os.WriteFile(profile, nil, 0o644); err != nil {
			return nil, err
		}
	}
	return append([]string{
		"PATH=" + os.Getenv("PATH"),
		"TMPDIR=" + os.TempDir(),
		"HOME=" + home,
		"XDG_CONFIG_HOME=" + home,
		"TEMPORAL_CONFIG_FILE=" + profile,
	}, more...), nil
}
