package broker

import (
	"testing"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/command"
)

// A proposal is answered by its own entry, not by one of another node, or of an
// earlier life, that happens to have its number.
func TestAnswerGoesByOriginAndNumber(t *testing.T) {
	answered := 0
	g := &group{waiting: map[command.Tag]func(*api.Response){{Origin: 1, Number: 7}: func(*api.Response) { answered++ }}}
	response := func() *api.Response { return &api.Response{} }
	g.answer(command.Tag{Origin: 2, Number: 7}, response)
	g.answer(command.Tag{Origin: 1, Number: 8}, response)
	if answered != 0 {
		t.Fatal("a proposal is answered by an entry that is not its own")
	}
	g.answer(command.Tag{Origin: 1, Number: 7}, response)
	g.answer(command.Tag{Origin: 1, Number: 7}, response)
	if answered != 1 {
		t.Fatalf("a proposal is answered %d times", answered)
	}
}
