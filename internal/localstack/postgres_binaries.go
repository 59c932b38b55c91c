package localstack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// OldestPostgres is the oldest major version that Parley works with.
const OldestPostgres = 15

// ErrNoPostgres says that no Postgres of a version that Parley works with was found.
var ErrNoPostgres = errors.New("no Postgres " + strconv.Itoa(OldestPostgres) + " or newer")

// PostgresBinaries is an installation of Postgres.
type PostgresBinaries struct {
	Dir   string // holds postgres and initdb
	Major int
}

// whereElse are the folders in which systems install Postgres beside the PATH: Debian, Fedora (PGDG), Homebrew.
func whereElse() []string {
	return []string{
		"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin",
		"/opt/homebrew/opt/postgresql@*/bin", "/usr/local/opt/postgresql@*/bin", "/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",
	}
}

// FindPostgres returns the newest installation that the user (nil: this one) can run, or the one of the major version
// wanted, if that is not 0. It returns ErrNoPostgres, saying what was found instead.
func FindPostgres(ctx context.Context, user *User, wanted int) (PostgresBinaries, error) {
	var best PostgresBinaries
	var seen []string
	for _, dir := range postgresFolders() {
		major, err := postgresMajor(ctx, dir)
		if err != nil || (user != nil && !user.Reaches(dir)) {
			continue
		}
		seen = append(seen, fmt.Sprintf("%d in %s", major, dir))
		if major >= OldestPostgres && major > best.Major && (wanted == 0 || major == wanted) {
			best = PostgresBinaries{dir, major}
		}
	}
	if best.Major == 0 {
		if wanted != 0 {
			return best, fmt.Errorf("%w: the data was made by version %d (found: %s)", ErrNoPostgres, wanted, list(seen))
		}
		return best, fmt.Errorf("%w on PATH, in /usr/lib/postgresql/*/bin or from Homebrew (found: %s)", ErrNoPostgres, list(seen))
	}
	return best, nil
}

func list(seen []string) string {
	if len(seen) == 0 {
		return "none"
	}
	return strings.Join(seen, ", ")
}

// postgresFolders are the folders that hold both postgres and initdb, PATH first, each once.
func postgresFolders() []string {
	candidates := filepath.SplitList(os.Getenv("PATH"))
	for _, pattern := range whereElse() {
		found, _ := filepath.Glob(pattern)
		candidates = append(candidates, found...)
	}
	var folders []string
	known := map[string]bool{}
	for _, dir := range candidates {
		// A PATH holds links into the folder of the installation; the programs look for their files from there.
		target, err := filepath.EvalSymlinks(filepath.Join(dir, "postgres"))
		if err != nil {
			continue
		}
		dir = filepath.Dir(target)
		if _, err := os.Stat(filepath.Join(dir, "initdb")); err == nil && !known[dir] {
			known[dir] = true
			folders = append(folders, dir)
		}
	}
	return folders
}

var postgresVersion = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)

func postgresMajor(ctx context.Context, dir string) (int, error) {
	out, err := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "--version").Output()
	if err != nil {
		return 0, err
	}
	match := postgresVersion.FindSubmatch(out)
	if match == nil {
		return 0, fmt.Errorf("%s: no version in %q", dir, out)
	}
	return strconv.Atoi(string(match[1]))
}
