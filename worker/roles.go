package main

import (
	"log/slog"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/worker"

	"parley/activities/account"
	"parley/activities/billing"
	"parley/activities/identity"
	"parley/activities/messaging"
	"parley/activities/persistence"
	"parley/activities/reply"
	"parley/activities/upkeep"
	"parley/contract"
	"parley/internal/config"
	"parley/internal/domain"
	"parley/internal/failure"
	"parley/internal/llm"
	"parley/internal/postgres"
	"parley/internal/secrets"
	"parley/internal/telemetry"
	"parley/internal/twilio"
	"parley/workflows"
)

// parts are the implementations of all steps.
type parts struct {
	account     *account.Activities
	persistence *persistence.Activities
	identity    *identity.Activities
	billing     *billing.Activities
	reply       *reply.Activities
	messaging   *messaging.Activities
	upkeep      *upkeep.Activities
	counters    *telemetry.Upkeep // of what upkeep does
}

// process is what all steps of a process share.
type process struct {
	temporal     client.Client
	pool         *postgres.Pool
	cipher       *secrets.Cipher
	twilioErrors *telemetry.TwilioErrors
	upkeep       *telemetry.Upkeep
	logger       *slog.Logger
}

// assemble builds the steps over the real stores and clients.
func assemble(settings config.Worker, p process) parts {
	directory, messages := postgres.NewDirectory(p.pool, p.cipher), postgres.NewMessages(p.pool)
	sending := messaging.New(counted{messages, p.twilioErrors}, directory, gateway{twilio.NewClient(settings.TwilioBaseURL), settings.PublicURL})
	patience := upkeep.Patience{After: settings.SweepAfter, Again: settings.SweepAgain, Price: settings.PriceAfter}
	var provider reply.Provider = llm.Scripted{}
	if settings.ModelProvider == config.ProviderOpenAI {
		provider = llm.NewOpenAI(settings.ModelBaseURL, settings.OpenAIAPIKey, settings.ModelName)
	}
	return parts{
		account:     account.New(directory, postgres.NewUnrouted(p.pool, p.cipher), settings.DevelopmentOwner),
		persistence: persistence.New(messages),
		identity:    identity.New(messages),
		billing:     billing.New(messages),
		reply:       reply.New(messages, provider, settings.Price()),
		messaging:   sending,
		upkeep:      upkeep.New(messages, flows{p.temporal}, sending.LookUp, sending.FetchStatus, teller(p.logger), patience),
		counters:    p.upkeep,
	}
}

// register gives a worker the definitions of its role, and nothing else.
func register(w worker.Registry, role contract.Role, p parts) error {
	switch role {
	case contract.RoleWorkflow:
		contract.InboundMessage.Register(w, workflows.InboundMessage)
		contract.OutboundMessage.Register(w, workflows.OutboundMessage)
		contract.Upkeep.Register(w, workflows.Upkeep)
	case contract.RoleAccount:
		contract.ResolveAccount.Register(w, p.account.Resolve)
		contract.KeepUnrouted.Register(w, p.account.KeepUnrouted)
	case contract.RolePersistence:
		contract.RecordInbound.Register(w, p.persistence.RecordInbound)
		contract.RecordOutbound.Register(w, p.persistence.RecordOutbound)
		contract.ParkMessage.Register(w, p.persistence.Park)
		contract.Finish.Register(w, p.persistence.Finish)
	case contract.RoleIdentity:
		contract.ResolveIdentity.Register(w, p.identity.Resolve)
	case contract.RoleBilling:
		contract.Reserve.Register(w, p.billing.Reserve)
		contract.Settle.Register(w, p.billing.Settle)
	case contract.RoleReply:
		contract.Generate.Register(w, p.reply.Generate)
	case contract.RoleMessaging:
		contract.Send.Register(w, p.messaging.Send)
		contract.LookUp.Register(w, p.messaging.LookUp)
		contract.FetchStatus.Register(w, p.messaging.FetchStatus)
	case contract.RoleUpkeep:
		registerJob(w, p.counters, contract.CloseEnded, p.upkeep.CloseEnded)
		registerJob(w, p.counters, contract.SeekUnknown, p.upkeep.SeekUnknown)
		registerJob(w, p.counters, contract.CloseIdle, p.upkeep.CloseIdle)
		registerJob(w, p.counters, contract.FetchPrices, p.upkeep.FetchPrices)
	default:
		return domain.Errorf(domain.KindInternal, "no such role: %q", role)
	}
	return nil
}

// Stop time-outs: longer than the role's longest activity, since a stop that is shorter is a kill whose result nobody reports.
const (
	databaseStop  = 12 * time.Second // 10 s
	messagingStop = 50 * time.Second // 45 s: a POST under way is answered
	replyStop     = 65 * time.Second // 60 s
	upkeepStop    = 60 * time.Second // 55 s: a batch
)

// stickyTimeout is how long the server waits for the worker that has a flow in its cache before it asks another: what the
// loss of a workflow worker costs each of its flows.
const stickyTimeout = time.Second

// version is which Parley this is: Temporal notes it with each workflow task, and its UI shows it. The build of the image sets it. A worker that
// has none reads and hashes its whole binary when it starts.
var version = "dev"

// options are the worker's for a role. fail ends the process.
func options(role contract.Role, slots int, fail func(error)) worker.Options {
	stop := map[contract.Role]time.Duration{contract.RoleMessaging: messagingStop, contract.RoleReply: replyStop, contract.RoleUpkeep: upkeepStop}
	poll := worker.NewPollerBehaviorAutoscaling(worker.PollerBehaviorAutoscalingOptions{})
	return worker.Options{
		DisableWorkflowWorker:              role != contract.RoleWorkflow,
		LocalActivityWorkerOnly:            role == contract.RoleWorkflow,
		MaxConcurrentActivityExecutionSize: slots,
		ActivityTaskPollerBehavior:         poll,
		WorkflowTaskPollerBehavior:         poll,
		StickyScheduleToStartTimeout:       stickyTimeout,
		WorkerStopTimeout:                  max(stop[role], databaseStop),
		DisableRegistrationAliasing:        true,
		Interceptors:                       []interceptor.WorkerInterceptor{failure.Interceptor(), &heartbeats{}},
		OnFatalError:                       fail,
		DeploymentOptions:                  worker.DeploymentOptions{Version: worker.WorkerDeploymentVersion{DeploymentName: "parley", BuildID: version}},
	}
}
