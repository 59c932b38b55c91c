package localstack

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// Checkout returns the top folder of the checkout that dir lies in: the nearest one upwards that holds a go.mod.
// Symbolic links are resolved, so that one checkout has one name.
func Checkout(dir string) (string, error) {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return "", err
	}
	dir, err = filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for top := dir; ; top = filepath.Dir(top) {
		if _, err := os.Stat(filepath.Join(top, "go.mod")); err == nil {
			return top, nil
		}
		if top == filepath.Dir(top) {
			return "", fmt.Errorf("%s is not in a checkout of Parley: no go.mod here or above", dir)
		}
	}
}

// User is another user that a child runs as.
type User struct {
	Name     string
	UID, GID uint32
}

// ServerUser returns the user that Postgres must run as: nil for the user of this process, another one where this
// process is root, as which Postgres refuses to run.
func ServerUser() (*User, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		found, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseInt(found.Uid, 10, 64)
		gid, gidErr := strconv.ParseInt(found.Gid, 10, 64)
		if uidErr == nil && gidErr == nil { // macOS: nobody is -2
			return &User{name, uint32(uid), uint32(gid)}, nil
		}
	}
	return nil, errors.New("Postgres refuses to run as root, and this system has neither a user postgres nor nobody")
}

// Reaches reports whether the user can enter the folder: whether it may search it and every folder above it. A folder
// that does not exist yet counts as reached when the nearest existing one above is.
func (u *User) Reaches(dir string) bool {
	for ; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err == nil && !u.mayEnter(info) || err != nil && !errors.Is(err, os.ErrNotExist) {
			return false
		}
		if dir == filepath.Dir(dir) {
			return true
		}
	}
}

func (u *User) mayEnter(info os.FileInfo) bool {
	owner, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok || !info.IsDir():
		return false
	case owner.Uid == u.UID:
		return info.Mode()&0o100 != 0
	case owner.Gid == u.GID:
		return info.Mode()&0o010 != 0
	default:
		return info.Mode()&0o001 != 0
	}
}

// stateHome is where a checkout's data lies that may not lie in the checkout. A reboot does not erase it.
const stateHome = "/var/lib/parley-dev"

// PostgresData returns the folder for the Postgres data of a checkout: in its .parley folder, or, where the user that
// Postgres runs as cannot reach that (a checkout under a private home), in a folder of /var/lib named by the checkout.
func PostgresData(checkout string, user *User) string {
	inside := filepath.Join(checkout, ".parley", "postgres")
	if user == nil || user.Reaches(filepath.Dir(inside)) {
		return inside
	}
	sum := sha256.Sum256([]byte(checkout))
	return filepath.Join(stateHome, hex.EncodeToString(sum[:8]))
}

// RemovePostgresData removes a checkout's Postgres data, and what an interrupted start left of it.
func RemovePostgresData(checkout string, user *User) error {
	data := PostgresData(checkout, user)
	return errors.Join(os.RemoveAll(data), os.RemoveAll(halfMade(data)), os.RemoveAll(passwordBeside(data)))
}

// TemporaryData makes an empty folder that the user can reach, for data that is thrown away.
func TemporaryData(user *User) (string, error) {
	for _, base := range []string{os.TempDir(), "/tmp", "/var/tmp"} {
		if user != nil && !user.Reaches(base) {
			continue
		}
		dir, err := os.MkdirTemp(base, "parley-")
		if err != nil {
			continue
		}
		return dir, os.Chmod(dir, 0o755)
	}
	return "", errors.New("no folder for temporary data that the user of Postgres can reach")
}
