// Package contract is the wire between Parley's processes: task queues, names, workflow ids, and the struct that goes in
// and comes out of every workflow, activity, signal, update and query.
//
// It is all that another Go program needs to start and steer Parley's flows; what that program gets back is encrypted. Names are stable:
// renaming Go code never changes a history, and fields are only ever added. It imports the domain and Temporal's SDK, nothing else.
package contract
