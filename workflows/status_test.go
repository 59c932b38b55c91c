package workflows_test

import (
	"strings"
	"testing"
	"time"

	"parley/contract"
	"parley/internal/domain"
)

// The status query and the details in the UI tell where the flow stands, at every stage.
func TestStatusAndDetails(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.resolveAccount.fails(domain.Errorf(domain.KindNotFound, "no owner has this address"))
	r.send.fails(configuration("no token"))
	look := func(moment string, stage contract.Stage, steps string, details ...string) {
		t.Helper()
		status, shown := r.status(), r.details()
		if list := stepsOf(status); status.Stage != stage || list != steps {
			t.Errorf("%s: the status is %s with %v, want %s with %s", moment, status.Stage, list, stage, steps)
		}
		for _, want := range append(details, "Stage: **"+string(stage)+"**") {
			if !strings.Contains(shown, want) {
				t.Errorf("%s: %q is missing in the details:\n%s", moment, want, shown)
			}
		}
		for _, private := range []string{customer, company, received().Body, received().ProfileName} {
			if strings.Contains(shown, private) {
				t.Errorf("%s: the details hold what is private:\n%s", moment, shown)
			}
		}
	}
	r.after(time.Minute, func() {
		look("unroutable", contract.StageParked, "account.Resolve=parked",
			"**Parked** at `account.Resolve` since "+clock(start)+": no owner has this address", "**What to do:** Nobody owns",
			"Deadline of the send: "+clock(start.Add(10*time.Minute)),
			"gives up at "+clock(start.Add(72*time.Hour)), "- `account.Resolve`: parked: no owner has this address")
		r.update(contract.RetryCommand, contract.Command{})
	})
	r.generate.interrupts(func() {
		look("writing", contract.StageWorking,
			"account.Resolve=done identity.Resolve=done persistence.RecordInbound=done billing.Reserve=done reply.Generate=running",
			"Message `"+messageID+"` of owner `"+ownerID+"`", "- `reply.Generate`: running\n")
	})
	done := "account.Resolve=done identity.Resolve=done persistence.RecordInbound=done billing.Reserve=done reply.Generate=done "
	r.after(2*time.Minute, func() {
		look("parked", contract.StageParked, done+"messaging.Send=parked", "Park `"+r.parkedAs()+"`", "no token", "starter account rotate")
		if status := r.status(); status.OwnerID != ownerID || status.MessageID != messageID {
			t.Errorf("the status is %+v", status)
		}
		r.update(contract.RetryCommand, contract.Command{})
	})
	r.after(3*time.Minute, func() {
		look("delivering", contract.StageDelivering, done+"messaging.Send=done billing.Settle=done delivery=running")
		if r.status().Park != nil || strings.Contains(r.details(), "Parked") {
			t.Error("the park is still shown")
		}
	})
	r.deliver(4*time.Minute, 1, 2, domain.StatusDelivered)
	r.finish.interrupts(func() {
		look("closing", contract.StageDelivering, done+"messaging.Send=done billing.Settle=done delivery=done persistence.Finish=running",
			"- `delivery`: done: delivered")
	})
	r.inbound()
	look("closed", contract.StageClosed, done+"messaging.Send=done billing.Settle=done delivery=done persistence.Finish=done")
	if status := r.status(); status.Outcome != domain.OutcomeReplied {
		t.Errorf("the status is %+v", status)
	}
}

// stepsOf are the steps of a status, each with its state.
func stepsOf(status contract.StatusResult) string {
	var list []string
	for _, step := range status.Steps {
		list = append(list, step.Title()+"="+string(step.State))
	}
	return strings.Join(list, " ")
}

// A step that runs beside another is done when it is, not when the flow comes to wait for it.
func TestStatusOfAStepBeside(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.recordInbound.fails(configuration("no table"))
	r.after(time.Minute, func() {
		if got := stepsOf(r.status()); got != "account.Resolve=done identity.Resolve=done persistence.RecordInbound=parked" {
			t.Errorf("the steps are %s", got)
		}
		r.update(contract.AbandonCommand, contract.Command{})
	})
	r.inbound()
}

// Nothing of a flow that is over still runs, however it ended.
func TestStatusOfAFlowThatIsOver(t *testing.T) {
	t.Parallel()
	before := "account.Resolve=done identity.Resolve=done persistence.RecordInbound=done billing.Reserve=done reply.Generate=done "
	for name, test := range map[string]struct {
		prepare func(*rig)
		steps   string
		step    string // ended, because of
		note    string
	}{
		"cancelled": {
			func(r *rig) { r.after(time.Minute, r.env.CancelWorkflow) },
			before + "messaging.Send=done billing.Settle=done delivery=ended persistence.Finish=done", "delivery", "cancelled during delivery",
		},
		"cancelled while it charges": {
			func(r *rig) {
				r.settle.fails(&domain.Error{Kind: domain.KindUnavailable, Message: "no database", RetryAfter: 10 * time.Minute})
				r.after(time.Minute, r.env.CancelWorkflow)
			},
			before + "messaging.Send=done billing.Settle=ended delivery=ended persistence.Finish=done", "billing.Settle", "cancelled during delivery",
		},
		"abandoned": {
			func(r *rig) {
				r.send.fails(configuration("no token"))
				r.after(time.Minute, func() { r.update(contract.AbandonCommand, contract.Command{}) })
			},
			before + "messaging.Send=ended persistence.Finish=done", "messaging.Send", "abandoned by an operator at messaging.Send: no token",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			test.prepare(r)
			r.inbound()
			status := r.status()
			if got := stepsOf(status); got != test.steps {
				t.Errorf("the steps are %s, want %s", got, test.steps)
			}
			if note := stepNamed(status, test.step).Note; note != test.note || status.Reason != test.note {
				t.Errorf("%s ended because of %q, the flow because of %q, want %q", test.step, note, status.Reason, test.note)
			}
			if !strings.Contains(r.details(), "** "+test.note) {
				t.Errorf("the details do not say why the flow ended:\n%s", r.details())
			}
		})
	}
}

// Where a message has several parts, each has its own steps, and the delivery says what became of each.
func TestStatusOfParts(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.generate.returns(contract.Draft{DraftID: draftID, Parts: 2})
	r.send.answers = func(n int, in contract.SendInput) (contract.SendResult, error) {
		if n == 2 {
			return contract.SendResult{}, unknown()
		}
		return found(in.Attempt), nil
	}
	r.foundFrom(6)
	before := "account.Resolve=done identity.Resolve=done persistence.RecordInbound=done billing.Reserve=done reply.Generate=done messaging.Send part 1=done "
	r.after(5*time.Minute, func() {
		status := r.status()
		if got := stepsOf(status); got != before+"messaging.Send part 2=ended messaging.LookUp part 2=parked" {
			t.Errorf("the steps are %s", got)
		}
		if title := status.Park.Title(); title != "messaging.LookUp part 2" || !strings.Contains(r.details(), "**Parked** at `"+title+"`") {
			t.Errorf("parked at %s; the details are\n%s", title, r.details())
		}
		r.update(contract.RetryCommand, contract.Command{Park: status.Park.Name})
	})
	r.deliver(6*time.Minute, 1, 1, domain.StatusDelivered)
	r.deliver(7*time.Minute, 2, 1, domain.StatusUndelivered)
	r.inbound()
	if note := stepNamed(r.status(), "delivery").Note; note != "part 1 delivered, part 2 undelivered" {
		t.Errorf("the delivery says %q", note)
	}
}

// What ended badly says why, without Temporal's words around it.
func TestStatusOfAnEndedStep(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.generate.fails(configuration("no key"))
	r.after(time.Minute, func() { r.update(contract.AbandonCommand, contract.Command{}) })
	r.inbound()
	if got := stepNamed(r.status(), "reply.Generate"); got.State != contract.StepEnded || got.Note != "abandoned by an operator at reply.Generate: no key" {
		t.Errorf("the step stands as %+v", got)
	}
	if !strings.Contains(r.details(), "`reply.Generate`: ended: abandoned by an operator") {
		t.Errorf("the details are\n%s", r.details())
	}
}

// Three upserts are all that a message costs; owner and outcome travel with the stages.
func TestSearchAttributes(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.deliver(time.Minute, 1, 1, domain.StatusDelivered)
	r.inbound()
	if got := strings.Join(r.stages(), " "); got != "working delivering closed" || len(r.upserts) != 3 {
		t.Fatalf("%d upserts with the stages %s", len(r.upserts), got)
	}
	if owner, _ := r.upserts[0].GetKeyword(contract.SearchOwner); owner != ownerID {
		t.Errorf("the owner is %q", owner)
	}
	if outcome, _ := r.upserts[2].GetKeyword(contract.SearchOutcome); outcome != string(domain.OutcomeReplied) {
		t.Errorf("the outcome is %q", outcome)
	}
	known := contract.SearchAttributes()
	for _, upsert := range r.upserts {
		for key := range upsert.GetUntypedValues() {
			if !strings.Contains(strings.Join(known, " "), key.GetName()) {
				t.Errorf("no namespace has the search attribute %s", key.GetName())
			}
		}
	}
}

// Every step runs on its role's queue, under time-outs that its reason in options.go gives.
func TestQueuesAndTimeouts(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.send.fails(configuration("no token"), unknown())
	r.after(time.Minute, func() { r.update(contract.RetryCommand, contract.Command{}) })
	r.lookUp.returns(contract.SendResult{State: contract.SendAccepted, Attempt: 2})
	r.fetchStatus.returns(contract.FetchStatusResult{Status: domain.StatusDelivered})
	r.inbound()
	rest := timing().ReplyDeadline
	for name, want := range map[string]struct {
		role                    contract.Role
		startToClose, heartbeat time.Duration
		scheduleToClose         time.Duration
	}{
		"account.Resolve":           {contract.RoleAccount, 10 * time.Second, 0, 10 * time.Minute},
		"persistence.RecordInbound": {contract.RolePersistence, 10 * time.Second, 0, 0},
		"identity.Resolve":          {contract.RoleIdentity, 10 * time.Second, 0, rest},
		"billing.Reserve":           {contract.RoleBilling, 10 * time.Second, 0, rest},
		"reply.Generate":            {contract.RoleReply, time.Minute, 10 * time.Second, rest},
		"messaging.Send":            {contract.RoleMessaging, 45 * time.Second, 10 * time.Second, rest - time.Minute + time.Minute},
		"messaging.LookUp":          {contract.RoleMessaging, 20 * time.Second, 0, 2 * time.Minute},
		"billing.Settle":            {contract.RoleBilling, 10 * time.Second, 0, 0},
		"messaging.FetchStatus":     {contract.RoleMessaging, 20 * time.Second, 0, 30 * time.Second},
		"persistence.Park":          {contract.RolePersistence, 10 * time.Second, 0, 0},
		"persistence.Finish":        {contract.RolePersistence, 10 * time.Second, 0, 0},
	} {
		got, ran := r.infos[name]
		if !ran {
			t.Errorf("%s did not run", name)
			continue
		}
		// The environment puts the workflow's own limit where a step has no total.
		if want.scheduleToClose > 0 && got.ScheduleToCloseTimeout != want.scheduleToClose {
			t.Errorf("%s: ScheduleToClose %s, want %s", name, got.ScheduleToCloseTimeout, want.scheduleToClose)
		}
		if got.TaskQueue != want.role.Queue() || got.StartToCloseTimeout != want.startToClose || got.HeartbeatTimeout != want.heartbeat {
			t.Errorf("%s: queue %s, StartToClose %s, heartbeat %s; want %+v", name, got.TaskQueue, got.StartToCloseTimeout, got.HeartbeatTimeout, want)
		}
	}
}
