package llm

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"parley/internal/domain"
)

// defaultBaseURL is OpenAI's own API.
const defaultBaseURL = "https://api.openai.com/v1/"

// maxRetryAfter is the longest wait that a provider's Retry-After is believed: a person waits at the other end.
const maxRetryAfter = time.Minute

// maxAnswer bounds what is read of a provider's answer, in bytes.
const maxAnswer = 1 << 20

// OpenAI is any API that speaks OpenAI's chat completions.
type OpenAI struct {
	completions openai.ChatCompletionService
	model       string
}

// NewOpenAI returns a provider for a model. An empty base URL is OpenAI's own. Nothing is read from the environment.
func NewOpenAI(baseURL, apiKey, model string) *OpenAI {
	if baseURL == "" {
		baseURL = defaultBaseURL
	}
	// No time-out of its own: the caller's context has the owner's. No retries: Temporal has them.
	client := &http.Client{Transport: limited{http.DefaultTransport.(*http.Transport).Clone()}}
	return &OpenAI{
		openai.NewChatCompletionService(option.WithBaseURL(baseURL), option.WithAPIKey(apiKey), option.WithMaxRetries(0), option.WithHTTPClient(client)),
		model,
	}
}

// Complete asks the model for the next turn. An answer without text is not an error. Errors: KindConfiguration (key, model),
// KindThrottled, KindUnavailable, KindInvalid.
func (o *OpenAI) Complete(ctx context.Context, prompt domain.Prompt) (domain.Completion, error) {
	started := time.Now()
	var response *http.Response
	params := openai.ChatCompletionNewParams{Model: o.model, Messages: messages(prompt)}
	answer, err := o.completions.New(ctx, params, option.WithResponseInto(&response))
	if err != nil {
		return domain.Completion{}, mapError(response, err)
	}
	completion := domain.Completion{
		Provider: "openai", Model: answer.Model, Latency: time.Since(started),
		InputTokens: int(answer.Usage.PromptTokens), OutputTokens: int(answer.Usage.CompletionTokens),
	}
	if len(answer.Choices) > 0 {
		// A refusal is the model's answer too: it is polite, and meant for the person.
		message := answer.Choices[0].Message
		if completion.Text = strings.TrimSpace(message.Content); completion.Text == "" {
			completion.Text = strings.TrimSpace(message.Refusal)
		}
	}
	return completion, nil
}

// messages puts a person's words where the model takes them as data: never into the instructions.
func messages(prompt domain.Prompt) []openai.ChatCompletionMessageParamUnion {
	list := []openai.ChatCompletionMessageParamUnion{openai.SystemMessage(prompt.Instructions)}
	for _, turn := range prompt.Turns {
		if turn.Direction == domain.Outbound {
			list = append(list, openai.AssistantMessage(turn.Body))
		} else {
			list = append(list, openai.UserMessage(turn.Body))
		}
	}
	return list
}

// mapError says what kind of trouble a failed call was. It goes by the response: the library keeps a status only where the body is an
// error in OpenAI's own form. The provider's text is left out: it may repeat the prompt.
func mapError(response *http.Response, err error) error {
	if response == nil || response.StatusCode < http.StatusBadRequest {
		return &domain.Error{Kind: domain.KindUnavailable, Message: "the model does not answer: " + transportReason(err)}
	}
	status := response.StatusCode
	result := &domain.Error{
		Kind: domain.KindInvalid, Code: status, Message: fmt.Sprintf("the model's API answered HTTP %d", status), RetryAfter: retryAfter(response.Header),
	}
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		result.Kind, result.Message = domain.KindConfiguration, result.Message+": is OPENAI_API_KEY right?"
	case status == http.StatusNotFound:
		result.Kind, result.Message = domain.KindConfiguration, result.Message+": are PARLEY_MODEL_NAME and PARLEY_MODEL_BASE_URL right?"
	case status == http.StatusTooManyRequests:
		result.Kind = domain.KindThrottled
	case status == http.StatusRequestTimeout || status == http.StatusConflict || status >= http.StatusInternalServerError:
		result.Kind = domain.KindUnavailable
	}
	switch response.Header.Get("x-should-retry") { // the provider knows best
	case "true":
		if !result.Kind.Retryable() {
			result.Kind = domain.KindUnavailable
		}
	case "false":
		if result.Kind.Retryable() {
			result.Kind = domain.KindInvalid
		}
	}
	return result
}

// retryAfter reads how long to wait, in milliseconds, seconds or as a date; 0 where it is not said or not believable.
func retryAfter(header http.Header) time.Duration {
	wait := time.Duration(0)
	if ms, err := strconv.ParseFloat(header.Get("Retry-After-Ms"), 64); err == nil {
		wait = time.Duration(ms * float64(time.Millisecond))
	} else if seconds, err := strconv.ParseFloat(header.Get("Retry-After"), 64); err == nil {
		wait = time.Duration(seconds * float64(time.Second))
	} else if at, err := http.ParseTime(header.Get("Retry-After")); err == nil {
		wait = time.Until(at)
	}
	if wait < 0 || wait > maxRetryAfter {
		return 0
	}
	return wait
}

func transportReason(err error) string {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "time-out"
	case errors.Is(err, context.Canceled):
		return "cancelled"
	default:
		return "no connection, or an answer that is not readable"
	}
}

// limited bounds what is read of an answer.
type limited struct{ next http.RoundTripper }

func (l limited) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := l.next.RoundTrip(request)
	if err == nil {
		response.Body = http.MaxBytesReader(nil, response.Body, maxAnswer)
	}
	return response, err
}
