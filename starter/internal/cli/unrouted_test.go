package cli_test

import (
	"strings"
	"testing"
	"time"

	"go.temporal.io/api/enums/v1"

	"parley/contract"
	"parley/internal/domain"
	"parley/starter/internal/faketemporal"
)

func unroutedMessage(accountSid, messageSid string) domain.Unrouted {
	return domain.Unrouted{
		AccountSid: accountSid, MessageSid: messageSid, ReceivedAt: created, KeptAt: created.Add(time.Second), Reason: "unroutable: no owner has this address",
		Received: domain.Received{
			AccountSid: accountSid, MessageSid: messageSid, From: "+15557654321", To: "+15551239999", Body: "Is anybody there?",
			MessagingServiceSid: "MG0000000000000000000000000000000a", Media: []domain.Media{{URL: "https://api.twilio.com/media/1"}}, ReceivedAt: created,
		},
	}
}

// A flow that is over is started again with the very message, to be answered however late; one that runs is not doubled.
func TestAnUnroutedMessageIsStartedAgainOnce(t *testing.T) {
	t.Parallel()
	id := contract.InboundWorkflowID(accountA, stoppedSid)
	for name, flows := range map[string][]faketemporal.Flow{
		"forgotten":  nil,
		"terminated": {{ID: id, State: enums.WORKFLOW_EXECUTION_STATUS_TERMINATED}},
		"given up":   {{ID: id, State: enums.WORKFLOW_EXECUTION_STATUS_COMPLETED}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStarter(flows...)
			s.unrouted = unrouted{unroutedMessage(accountA, stoppedSid)}
			if out, _ := s.must(t, 0, "unrouted", "start", accountA, stoppedSid); !strings.HasPrefix(out, id+"\n") {
				t.Errorf("printed %s", out)
			}
			if len(s.temporal.Inbound) != 1 || !s.temporal.Inbound[0].Anyway || s.temporal.Inbound[0].Received.Body != "Is anybody there?" {
				t.Errorf("started %+v", s.temporal.Inbound)
			}
			options := s.temporal.Starts[0]
			if stage, _ := options.TypedSearchAttributes.GetKeyword(contract.SearchStage); stage != "received" || options.TaskQueue != contract.RoleWorkflow.Queue() {
				t.Errorf("started with %+v", options)
			}
			_, err := s.must(t, 4, "unrouted", "start", accountA, stoppedSid)
			if !strings.Contains(err.Error(), "starter retry "+id+" --anyway") || len(s.temporal.Inbound) != 1 {
				t.Errorf("a second start: %v", err)
			}
		})
	}
}

func TestUnroutedMessagesThatCannotBeStarted(t *testing.T) {
	t.Parallel()
	s := newStarter()
	if out, _ := s.must(t, 0, "unrouted", "list"); out != "every message has an owner\n" {
		t.Errorf("got %s", out)
	}
	unreadable := unroutedMessage(accountA, stranger)
	unreadable.Received, unreadable.Err = domain.Received{}, domain.Errorf(domain.KindConfiguration, "encrypted with another key")
	s.unrouted = unrouted{unroutedMessage(accountA, stoppedSid), unreadable}
	s.must(t, 3, "unrouted", "start", accountB, stoppedSid)
	s.must(t, 3, "unrouted", "show", accountB, stoppedSid)
	s.must(t, 5, "unrouted", "start", accountA, stranger)
	if len(s.temporal.Starts) != 0 {
		t.Errorf("started %+v", s.temporal.Inbound)
	}
	s.noStore = domain.Errorf(domain.KindUnavailable, "the database does not answer")
	s.must(t, 6, "unrouted", "list")
}

// What is kept of a message is not erased under a flow that would keep it again.
func TestAnUnroutedMessageIsForgotten(t *testing.T) {
	t.Parallel()
	s := newStarter(faketemporal.Flow{ID: contract.InboundWorkflowID(accountA, stranger), Stage: contract.StageParked})
	s.unrouted = unrouted{unroutedMessage(accountA, stoppedSid), unroutedMessage(accountA, stranger)}
	s.must(t, 0, "unrouted", "remove", accountA, stoppedSid)
	s.must(t, 3, "unrouted", "remove", accountA, stoppedSid)
	_, err := s.must(t, 4, "unrouted", "remove", accountA, stranger)
	if !strings.Contains(err.Error(), "starter abandon") || len(s.unrouted) != 1 {
		t.Errorf("got %v, left %+v", err, s.unrouted)
	}
}
