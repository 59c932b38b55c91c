package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// list returns the rows of a query as structs, column by field in their order.
func list[T any](ctx context.Context, pool *pgxpool.Pool, what, sql string, args ...any) (result []T, err error) {
	err = inTx(ctx, pool, what, func(ctx context.Context, tx pgx.Tx) error {
		result, err = collect[T](ctx, tx, sql, args...)
		return err
	})
	return result, err
}

// one returns the only row of a query as a struct, or KindNotFound.
func one[T any](ctx context.Context, pool *pgxpool.Pool, what, sql string, args ...any) (result T, err error) {
	err = inTx(ctx, pool, what, func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, sql, args...)
		if err != nil {
			return err
		}
		result, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[T])
		return err
	})
	return result, err
}

func collect[T any](ctx context.Context, tx pgx.Tx, sql string, args ...any) ([]T, error) {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[T])
}

// affected turns a statement that found no row into pgx.ErrNoRows.
func affected(tag pgconn.CommandTag, err error) error {
	if err == nil && tag.RowsAffected() == 0 {
		return pgx.ErrNoRows
	}
	return err
}
