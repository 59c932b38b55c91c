package contract

// Role is what one worker process may do. Each has a task queue of its own, so that a slow or stopped role holds up only
// the steps that need it.
type Role string

// The roles.
const (
	RoleWorkflow    Role = "workflow"    // decisions: runs workflow code only
	RoleAccount     Role = "account"     // whose message is it
	RolePersistence Role = "persistence" // storing messages and their ends
	RoleIdentity    Role = "identity"    // who wrote
	RoleBilling     Role = "billing"     // quota and ledger
	RoleReply       Role = "reply"       // the model
	RoleMessaging   Role = "messaging"   // Twilio
	RoleUpkeep      Role = "upkeep"      // what is done again and again, by schedules
)

// Roles returns every role.
func Roles() []Role {
	return []Role{RoleWorkflow, RoleAccount, RolePersistence, RoleIdentity, RoleBilling, RoleReply, RoleMessaging, RoleUpkeep}
}

// Queue returns the name of the role's task queue.
func (r Role) Queue() string { return "parley-" + string(r) }
