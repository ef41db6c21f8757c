package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"testing"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/client"
)

// printed gives what a record is as JSON, and checks that it is.
func printed(t *testing.T, m client.Message) string {
	t.Helper()
	var out bytes.Buffer
	p := printer{out: bufio.NewWriter(&out), format: "json", topic: "t"}
	if err := p.print(m, 3); err != nil || !json.Valid(out.Bytes()) {
		t.Errorf("%+v: %v, %s", m, err, out.String())
	}
	return out.String()
}

// Whatever a record has can be said in JSON, and read from it.
func TestConsumeJSON(t *testing.T) {
	at := func(time int64) client.Message {
		return client.Message{Offset: 7, Record: client.Record{Timestamp: api.Milliseconds(time), Value: []byte{}}}
	}
	const first, last = -62_167_219_200_000, 253_402_300_799_999 // of the years 0 to 9999
	for time, want := range map[int64]string{
		0:             `"1970-01-01T00:00:00Z","time_ms":0`,
		first:         `"0000-01-01T00:00:00Z","time_ms":-62167219200000`,
		first - 1:     `null,"time_ms":-62167219200001`,
		last:          `"9999-12-31T23:59:59.999Z","time_ms":253402300799999`,
		last + 1:      `null,"time_ms":253402300800000`,
		math.MaxInt64: `null,"time_ms":9223372036854775807`,
		math.MinInt64: `null,"time_ms":-9223372036854775808`,
	} {
		if got, want := printed(t, at(time)), `{"topic":"t","partition":3,"offset":7,"time":`+want+`,"key":null,"value":""}`+"\n"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	m := at(0)
	m.Key, m.Value = []byte("\xff\x00"), []byte("\xc3\x28")
	m.Headers = []client.Header{{Key: "none"}, {Key: "empty", Value: []byte{}}, {Key: "text", Value: []byte("ü")}, {Key: "\xfe", Value: []byte{0xfd}}}
	want := `{"topic":"t","partition":3,"offset":7,"time":"1970-01-01T00:00:00Z","time_ms":0,` +
		`"key":null,"key_base64":"/wA=","value":null,"value_base64":"wyg=","headers":[{"key":"none","value":null},` +
		`{"key":"empty","value":""},{"key":"text","value":"ü"},{"key":null,"key_base64":"/g==","value":null,"value_base64":"/Q=="}]}` + "\n"
	if got := printed(t, m); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

var errBroken = errors.New("broken")

// broken is an output that takes nothing.
type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errBroken }

// What was not printed does not count as what was asked for.
func TestConsumeStopsAfterAPrint(t *testing.T) {
	ctx, stop := context.WithCancelCause(t.Context())
	defer stop(nil)
	p := printer{out: bufio.NewWriter(broken{}), format: "json", left: 1, limited: true, stop: stop}
	if err := p.print(client.Message{}, 0); !errors.Is(err, errBroken) || context.Cause(ctx) != nil {
		t.Errorf("%v, and it stops for %v", err, context.Cause(ctx))
	}
	p.out.Reset(&bytes.Buffer{})
	if err := p.print(client.Message{}, 0); err != nil || !errors.Is(context.Cause(ctx), errEnough) {
		t.Errorf("%v, and it stops for %v", err, context.Cause(ctx))
	}
}
