package provision

import (
	"fmt"
	"strings"

	"parley/contract"
)

// The commands below are for Temporal's own tools: tcld where the namespace is one of Temporal Cloud, else temporal.

// onCloud tells by the name: Temporal Cloud's namespaces are called <name>.<account>.
func onCloud(namespace string) bool { return strings.Contains(namespace, ".") }

func createNamespace(namespace string) string {
	if onCloud(namespace) {
		name, _, _ := strings.Cut(namespace, ".")
		return fmt.Sprintf("tcld namespace create --namespace %s --retention-days %d --region <region> --auth-method api_key", name, days(Retention))
	}
	return fmt.Sprintf("temporal operator namespace create --namespace %s --retention %dd", namespace, days(Retention))
}

func createAttributes(namespace string, names []string) string {
	var command strings.Builder
	if onCloud(namespace) {
		fmt.Fprintf(&command, "tcld namespace search-attributes add --namespace %s", namespace)
		for _, name := range names {
			fmt.Fprintf(&command, " --search-attribute %s=Keyword", name)
		}
		return command.String()
	}
	fmt.Fprintf(&command, "temporal operator search-attribute create --namespace %s --type Keyword", namespace)
	for _, name := range names {
		fmt.Fprintf(&command, " --name %s", name)
	}
	return command.String()
}

func updateRetention(namespace string) string {
	if onCloud(namespace) {
		return fmt.Sprintf("tcld namespace retention set --namespace %s --retention-days %d", namespace, days(Retention))
	}
	return fmt.Sprintf("temporal operator namespace update --namespace %s --retention %dd", namespace, days(Retention))
}

// createSchedule is the same on Temporal Cloud: schedules are no matter of its control plane.
func createSchedule(namespace string, s contract.Schedule) string {
	return fmt.Sprintf("temporal schedule create --namespace %s --schedule-id %s --interval %s --overlap-policy Skip --catchup-window %s "+
		"--workflow-id %s --type %s --task-queue %s --run-timeout %s --input '{\"job\":\"%s\"}'",
		namespace, s.ID(), s.Every, catchUp, s.ID(), contract.Upkeep.Name, contract.RoleWorkflow.Queue(), contract.UpkeepWithin, s.Job.Name)
}
