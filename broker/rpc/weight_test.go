package rpc

import (
	"strings"
	"testing"

	"github.com/reprise-mq/reprise/broker/api"
)

// What a request holds weighs, whatever it is: the inbox has no other bound in bytes.
func TestWeightIsOfAllThatIsThere(t *testing.T) {
	metadata := &api.MetadataRequest{}
	for range 100 {
		metadata.Topics = append(metadata.Topics, &api.TopicRef{Name: strings.Repeat("t", 10)})
	}
	for what, q := range map[string]*api.Request{
		"a batch": {Body: &api.Request_Produce{Produce: &api.ProduceRequest{Batch: make([]byte, 1000)}}},
		"topics":  {Body: &api.Request_Metadata{Metadata: metadata}},
	} {
		if got := weight(q); got < 1000 || got > 3000 {
			t.Errorf("%s of about 1000 bytes weigh %d", what, got)
		}
	}
}
