package doctor

import (
	"context"
	"fmt"
	"strings"

	"parley/internal/postgres"
)

const (
	database = "database"
	schema   = "migrations"

	leastPostgres = 150_000 // version 15, as server_version_num
)

// Database looks whether the database answers, is one that Parley runs on, and is open to the role.
func Database(describe func(context.Context) (postgres.Server, error)) Check {
	return Check{Name: database, Look: func(ctx context.Context) Finding {
		server, err := describe(ctx)
		if err != nil {
			return failed(adviceForDatabase(err), "%s", err)
		}
		f := found("Postgres %s, database %s, role %s%s", server.Release, server.Database, server.Role, through(server))
		if server.Version < leastPostgres {
			f.fail("move the database to a newer server", "Postgres %s is too old: Parley needs 15 or newer", server.Release)
		}
		if server.ReadOnly {
			f.fail("let DATABASE_URL name the primary server, or make the database writable", "the database takes no changes")
		}
		if server.Encoding != "UTF8" {
			f.fail("make a database with ENCODING 'UTF8' and let DATABASE_URL name it",
				"its encoding is %s: most messages of the world cannot be stored in it", server.Encoding)
		}
		if len(server.Closed) > 0 {
			f.fail("let DATABASE_URL name the role that ran starter setup, or GRANT that role to this one",
				"role %s does not own the tables, so it reads no row of: %s", server.Role, strings.Join(server.Closed, ", "))
		}
		return f
	}}
}

func adviceForDatabase(err error) string {
	if unavailable(err) {
		return "start the database, and see that DATABASE_URL names its host and port and that no firewall stands between"
	}
	return "compare user, password and database of DATABASE_URL with the server's"
}

func through(server postgres.Server) string {
	if !server.Pooled {
		return ""
	}
	needs := ""
	if server.Prepared {
		needs = "it has to keep prepared statements, as DATABASE_URL asks for, and "
	}
	return ", through a pooler: " + needs + "its mode may be session or transaction, not statement"
}

// Migrations compares the schema's version with the one that this version of Parley wants.
func Migrations(version func(context.Context) (int64, error), wanted int64) Check {
	return Check{Name: schema, Needs: []string{database}, Look: func(ctx context.Context) Finding {
		is, err := version(ctx)
		if err != nil {
			return failed("see that the role of DATABASE_URL is the one that ran starter setup", "the schema's version cannot be read: %s", err)
		}
		f := found("schema version %d", is)
		switch {
		case is == 0:
			f.Found = ""
			f.fail("run starter setup", "the database has no schema yet")
		case is < wanted:
			f.fail("run starter setup", "this version of Parley needs schema version %d", wanted)
		case is > wanted:
			f.warn("upgrade what still runs this version, which knows schema version "+fmt.Sprint(wanted), "the schema is a newer version's")
		}
		return f
	}}
}
