package migrations

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"slices"
)

// Hash returns a name for the schema that Up leads to: another one when any migration changes.
func Hash() string {
	sum := sha256.New()
	for _, text := range texts() {
		sum.Write([]byte(text))
	}
	return hex.EncodeToString(sum.Sum(nil)[:6])
}

var createTable = regexp.MustCompile(`(?m)^CREATE TABLE (?:IF NOT EXISTS )?(\w+)`)

// Tables returns the names of all tables that the migrations make or once made, goose's own included. A database with
// others belongs to somebody else.
func Tables() []string {
	tables := []string{"goose_db_version", "goose_lock"}
	for _, text := range texts() {
		for _, match := range createTable.FindAllStringSubmatch(text, -1) {
			tables = append(tables, match[1])
		}
	}
	slices.Sort(tables)
	return slices.Compact(tables)
}

// texts are the migrations in their order.
func texts() []string {
	entries, err := files.ReadDir(".")
	if err != nil {
		return nil // an embedded folder can be read
	}
	var list []string
	for _, entry := range entries {
		if text, err := files.ReadFile(entry.Name()); err == nil {
			list = append(list, string(text))
		}
	}
	return list
}
