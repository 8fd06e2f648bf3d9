// Package sqlite3 stands in for the SQLite driver, which needs cgo. Kubeflow's API server names its error in one
// comparison and opens SQLite in its own tests only; on MySQL no error is ever of this type.
package sqlite3

// ErrNo is SQLite's number of an error.
type ErrNo int

// ErrConstraint is the number of a violated constraint.
const ErrConstraint ErrNo = 19

// Error is an error of SQLite.
type Error struct {
	Code ErrNo
}

func (e Error) Error() string {
	return "SQLite is not built in"
}
