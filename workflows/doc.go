// Package workflows holds Parley's decisions: what happens next to a message. It touches nothing outside; the steps are
// activities, called through the definitions of package contract.
//
// A flow goes through these stages (the search attribute ParleyStage):
//
//	received --account.Resolve--> working --accepted by Twilio--> delivering --final status--> closed
//	any of them --a step fails for good--> parked --retry--> back, only that step runs again
//	                                              --abandon, or nobody acts in time--> closed
//
// What can go wrong, and what then happens:
//   - A step fails in a way that may pass: Temporal retries it until the flow's deadline; then the flow ends expired.
//   - A step fails in a way that no retry mends: the flow parks and waits for the update or signal retry or abandon.
//   - Nobody knows whether a message was sent: it is looked for at Twilio, then the flow parks; it is never sent again by itself
//     (unknown.go).
//   - The flow is cancelled: it ends at once, on a context of its own.
//   - A worker dies: another goes on where it was.
//
// Every way out goes through persistence.Finish, which decides by the rows how the flow ended.
package workflows
