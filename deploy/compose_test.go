// Package deploy_test keeps the files of a deployment true: docker-compose.yml, Dockerfile and what they name. Docker
// itself is not needed: compose-go, the library of docker compose, reads the file as docker compose would.
package deploy_test

import (
	"maps"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/template"
	"github.com/compose-spec/compose-go/v2/types"

	"parley/contract"
	"parley/internal/config"
	"parley/internal/localstack"
)

const (
	composeFile = "../docker-compose.yml"
	ourImage    = "parley"
)

// required is the least that .env holds.
func required() map[string]string {
	return map[string]string{
		"POSTGRES_PASSWORD":     "sesame1",
		"PARLEY_KEYSET":         "sesame2",
		"PARLEY_PAYLOAD_KEYSET": "sesame4",
		"PARLEY_PUBLIC_URL":     "https://parley.example.com",
	}
}

// demonstration is what the demonstration needs: .env with a token of one's own, and demo.env over it.
func demonstration(t *testing.T) map[string]string {
	t.Helper()
	env := required()
	env["TWILIO_AUTH_TOKEN"] = "sesame3"
	demo, err := dotenv.Read("demo.env")
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(env, demo)
	return env
}

// load reads the file with an environment, and with every profile.
func load(t *testing.T, env map[string]string) *types.Project {
	t.Helper()
	project, err := tryLoad(t, env)
	if err != nil {
		t.Fatal(err)
	}
	return project
}

func tryLoad(t *testing.T, env map[string]string) (*types.Project, error) {
	t.Helper()
	var list []string
	for name, value := range env {
		list = append(list, name+"="+value)
	}
	options, err := cli.NewProjectOptions([]string{composeFile}, cli.WithEnv(list), cli.WithProfiles([]string{"*"}))
	if err != nil {
		t.Fatal(err)
	}
	return options.LoadProject(t.Context())
}

// raw is the file as it is written.
func raw(t *testing.T) map[string]any {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{composeFile}, cli.WithInterpolation(false), cli.WithProfiles([]string{"*"}))
	if err != nil {
		t.Fatal(err)
	}
	model, err := options.LoadModel(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return model
}

// ours returns the services that run a process of Parley.
func ours(project *types.Project) types.Services {
	services := maps.Clone(project.Services)
	maps.DeleteFunc(services, func(_ string, s types.ServiceConfig) bool { return s.Image != ourImage })
	return services
}

// command is what the container runs.
func command(s types.ServiceConfig) []string { return slices.Concat(s.Entrypoint, s.Command) }

// environment is what the container's process sees.
func environment(s types.ServiceConfig) func(string) string {
	return func(name string) string {
		if value := s.Environment[name]; value != nil {
			return *value
		}
		return ""
	}
}

// processes are the binaries of the image, each with a new configuration.
func processes() map[string]any {
	return map[string]any{"webhook": &config.Webhook{}, "worker": &config.Worker{}, "starter": &config.Starter{}, "simulator": &config.Simulator{}}
}

// TestVariables gives every process what its container has: it must be known, complete and right.
func TestVariables(t *testing.T) {
	t.Parallel()
	for name, service := range ours(load(t, demonstration(t))) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			settings, exists := processes()[command(service)[0]]
			if !exists {
				t.Fatalf("it runs %q, which is not in the image", command(service))
			}
			if err := config.Load(settings, environment(service)); err != nil {
				t.Error(err)
			}
			known := readBy(command(service)[0])
			if at := slices.Index(service.Command, "--token-env"); at >= 0 {
				known = append(known, service.Command[at+1])
			}
			for variable := range service.Environment {
				if !slices.Contains(known, variable) {
					t.Errorf("%s does not read %s", command(service)[0], variable)
				}
			}
		})
	}
}

// TestEveryVariable checks that whatever .env.example explains to a process can be said in .env: no variable set there is ignored.
func TestEveryVariable(t *testing.T) {
	t.Parallel()
	given := map[string][]string{}
	for _, service := range ours(load(t, demonstration(t))) {
		process := command(service)[0]
		for variable := range service.Environment {
			given[process] = append(given[process], variable)
		}
	}
	// The command says the role; files are not mounted; a default owner is for development; Temporal is the one of this file, without TLS.
	without := regexp.MustCompile(`^(PARLEY_ROLE|PARLEY_CONFIG|PARLEY_DEVELOPMENT_OWNER|TEMPORAL_(API_KEY|TLS.*|PROFILE)|.*_FILE)$`)
	for _, process := range []string{"webhook", "worker"} {
		for _, variable := range readBy(process) {
			if !slices.Contains(given[process], variable) && !without.MatchString(variable) {
				t.Errorf("%s is not given %s", process, variable)
			}
		}
	}
}

// readBy returns the names of the variables that a process reads.
func readBy(process string) []string {
	var names []string
	for _, section := range config.Environment() {
		for _, variable := range section.Variables {
			if slices.Contains(variable.ReadBy, process) {
				names = append(names, variable.Name)
			}
		}
	}
	return names
}

// TestInterpolation checks what the file asks of .env: only variables that .env.example explains, and without the
// required ones nothing starts.
func TestInterpolation(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, section := range config.Environment() {
		for _, variable := range section.Variables {
			known[variable.Name] = true
		}
	}
	for name := range template.ExtractVariables(raw(t), template.DefaultPattern) {
		if !known[name] {
			t.Errorf("%s is not in .env.example", name)
		}
	}
	for name := range required() {
		env := required()
		delete(env, name)
		if _, err := tryLoad(t, env); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: want an error that names it, got %v", name, err)
		}
	}
	load(t, required()) // what the demonstration alone needs is not asked of others
}

// TestNoSecretInside checks that every secret comes from outside.
func TestNoSecretInside(t *testing.T) {
	t.Parallel()
	secret := regexp.MustCompile(`(?i)password|_pwd|token$|_key$|keyset$|database_url`)
	services, ok := raw(t)["services"].(map[string]any)
	if !ok || len(services) == 0 {
		t.Fatal("no services")
	}
	for name, service := range services {
		environment, _ := service.(map[string]any)["environment"].(map[string]any)
		for variable, value := range environment {
			if text, _ := value.(string); secret.MatchString(variable) && !strings.Contains(text, "${") {
				t.Errorf("%s: %s stands in the file", name, variable)
			}
		}
	}
	demo, err := dotenv.Read("demo.env")
	if err != nil {
		t.Fatal(err)
	}
	for variable := range demo {
		if secret.MatchString(variable) {
			t.Errorf("demo.env: %s stands in the file", variable)
		}
	}
}

// TestRoles wants one service a role, with the time that a worker of that role may take to stop.
func TestRoles(t *testing.T) {
	t.Parallel()
	const adminListener = 5 * time.Second // which a worker stops after its roles
	longest := map[contract.Role]time.Duration{
		contract.RoleMessaging: 50 * time.Second, contract.RoleReply: 65 * time.Second, contract.RoleUpkeep: 60 * time.Second,
	}
	served := map[contract.Role]int{}
	for name, service := range ours(load(t, required())) {
		if command(service)[0] != "worker" {
			continue
		}
		settings := config.Roles{Role: service.Command[slices.Index(service.Command, "-role")+1]}
		roles, err := settings.List()
		if err != nil || len(roles) != 1 || name != "worker-"+string(roles[0]) {
			t.Errorf("%s: want one role, the one it is named after; got %v, %v", name, roles, err)
			continue
		}
		served[roles[0]]++
		stop := max(longest[roles[0]], 12*time.Second) + adminListener
		if service.StopGracePeriod == nil || time.Duration(*service.StopGracePeriod) <= stop {
			t.Errorf("%s: Docker is to wait for more than %s before it kills", name, stop)
		}
	}
	for _, role := range contract.Roles() {
		if served[role] != 1 {
			t.Errorf("%s: %d services", role, served[role])
		}
	}
}

// TestCommands asks the binaries for help with each command of the file: they refuse what they do not know.
func TestCommands(t *testing.T) {
	t.Parallel()
	if err := localstack.Build(t.Context(), "..", slices.Collect(maps.Keys(processes()))...); err != nil {
		t.Fatal(err)
	}
	for name, service := range ours(load(t, demonstration(t))) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, command(service))
			if test := service.HealthCheck; test != nil && !test.Disable {
				check(t, test.Test[1:])
			}
		})
	}
}

// check runs a command that is asked for help: parsing what stands before, it ends well only if it knows all of it.
func check(t *testing.T, args []string) {
	t.Helper()
	if args[0] == "simulator" { // it takes no arguments, help included
		if len(args) > 1 {
			t.Errorf("%q: the simulator takes no arguments", args)
		}
		return
	}
	ask := exec.CommandContext(t.Context(), filepath.Join("../bin", args[0]), append(slices.Clone(args[1:]), "--help")...)
	ask.Env = []string{}
	if out, err := ask.CombinedOutput(); err != nil {
		t.Errorf("%q: %v\n%s", args, err, out)
	}
}

// TestOrder checks that nothing starts before what it needs, and that everything comes back.
func TestOrder(t *testing.T) {
	t.Parallel()
	project := load(t, required())
	for name, service := range ours(project) {
		switch process := command(service)[0]; {
		case process == "webhook", process == "worker":
			if service.DependsOn["setup"].Condition != types.ServiceConditionCompletedSuccessfully {
				t.Errorf("%s does not wait for setup", name)
			}
			if service.Restart != types.RestartPolicyUnlessStopped || service.HealthCheck == nil || service.HealthCheck.Disable {
				t.Errorf("%s needs a restart policy and a health check", name)
			}
		case service.HealthCheck == nil || !service.HealthCheck.Disable:
			t.Errorf("%s has no listener that the image's health check could ask", name)
		}
	}
	for name, service := range project.Services {
		for dependency, how := range service.DependsOn {
			if how.Condition == types.ServiceConditionHealthy && project.Services[dependency].HealthCheck == nil {
				t.Errorf("%s waits for the health of %s, which has no check", name, dependency)
			}
		}
	}
}

// TestPorts checks that nothing is reachable from another machine.
func TestPorts(t *testing.T) {
	t.Parallel()
	for name, service := range load(t, required()).Services {
		for _, port := range service.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s: port %s is open to others", name, port.Published)
			}
		}
	}
}

// TestImages checks that every image but ours has a version of its own.
func TestImages(t *testing.T) {
	t.Parallel()
	version := regexp.MustCompile(`:v?\d+\.\d+`)
	for name, service := range load(t, required()).Services {
		if service.Image != ourImage && !version.MatchString(service.Image) {
			t.Errorf("%s: %s is not pinned", name, service.Image)
		}
	}
}

// TestLoopback follows the demonstration's addresses: the three that talk over loopback share one, each listens on a port
// of its own, and each looks for the others where they are.
func TestLoopback(t *testing.T) {
	t.Parallel()
	project := load(t, demonstration(t))
	listeners := map[string]string{}
	for _, name := range []string{"webhook", "worker-messaging", "simulator", "demo-message"} {
		service := project.Services[name]
		if service.NetworkMode != "service:edge" {
			t.Errorf("%s: network mode %q", name, service.NetworkMode)
		}
		for _, variable := range []string{"PARLEY_LISTEN", "PARLEY_ADMIN_LISTEN", "PARLEY_SIMULATOR_LISTEN"} {
			if _, port, err := net.SplitHostPort(environment(service)(variable)); err == nil {
				if other, taken := listeners[port]; taken {
					t.Errorf("port %s: %s and %s", port, other, name)
				}
				listeners[port] = name
			}
		}
	}
	simulator, message := project.Services["simulator"], project.Services["demo-message"].Command
	for from, to := range map[string]string{
		environment(project.Services["worker-messaging"])("PARLEY_TWILIO_BASE_URL"): "simulator",
		environment(simulator)("PARLEY_SIMULATOR_INBOUND_URL"):                      "webhook",
		environment(project.Services["webhook"])("PARLEY_PUBLIC_URL"):               "webhook",
		message[len(message)-1]: "simulator",
	} {
		address, err := url.Parse(from)
		if err != nil || address.Hostname() != "127.0.0.1" || listeners[address.Port()] != to {
			t.Errorf("%s does not lead to %s: %v", from, to, err)
		}
	}
	if public := environment(project.Services["webhook"])("PARLEY_PUBLIC_URL"); !strings.HasPrefix(environment(simulator)("PARLEY_SIMULATOR_INBOUND_URL"), public+"/") {
		t.Error("the simulator signs a URL that the webhook does not check against")
	}
	if ports := project.Services["edge"].Ports; len(ports) != 1 || listeners[strings.TrimSpace(ports[0].Published)] != "webhook" {
		t.Errorf("only the webhook is published: %v", ports)
	}
}

// TestDockerfile checks that the image is built with the module's Go and holds every process that the file runs.
func TestDockerfile(t *testing.T) {
	t.Parallel()
	dockerfile, module := read(t, "../Dockerfile"), read(t, "../go.mod")
	version := regexp.MustCompile(`(?m)^go (\S+)$`).FindStringSubmatch(module)
	if version == nil || !strings.Contains(dockerfile, "FROM golang:"+version[1]+"-") {
		t.Errorf("it is not built with the Go of go.mod, %q", version)
	}
	for process := range processes() {
		if !strings.Contains(dockerfile, " ./"+process) {
			t.Errorf("%s is not in the image", process)
		}
	}
	if !regexp.MustCompile(`(?m)^USER [1-9]\d*:[1-9]\d*$`).MatchString(dockerfile) || !strings.Contains(dockerfile, "\nHEALTHCHECK ") {
		t.Error("it needs a user by number that is not root, and a health check")
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
