package postgres

// SealedColumns are the columns that Reencrypt knows, as table.column.
func SealedColumns() (names []string) {
	for _, column := range sealedColumns() {
		names = append(names, column.table+"."+column.column)
	}
	return names
}
