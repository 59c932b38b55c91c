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
		var list []string
		for _, step := range status.Steps {
			list = append(list, step.Name+"="+string(step.State))
		}
		if status.Stage != stage || strings.Join(list, " ") != steps {
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
		look("parked", contract.StageParked, done+"messaging.Send=parked", "Park `"+r.parkedAs()+"`", "no token", "starter account add")
		if status := r.status(); status.OwnerID != ownerID || status.MessageID != messageID {
			t.Errorf("the status is %+v", status)
		}
		r.update(contract.RetryCommand, contract.Command{})
	})
	r.after(3*time.Minute, func() {
		look("delivering", contract.StageDelivering, done+"messaging.Send=done billing.Settle=running delivery=running")
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
