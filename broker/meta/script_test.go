package meta

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/reprise-mq/reprise/broker/access"
	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/idle"
)

var rewrite = flag.Bool("rewrite", false, "write what the scripts in testdata answer into them")

// TestScripts runs testdata/*.txt. Each line is a command; the answer stands below
// it, indented. Every story begins with a cluster of node 1.
//
//	join token=T address=A            update node=N token=T address=A
//	create name=S [partitions=N] [replicas=N] [segment=N] [configs=NAME:VALUE,...]
//	                                  [silent=N,...]
//	alter name=S [set=NAME:VALUE,...] [unset=NAME,...]
//	add name=S partitions=N [silent=N,...]
//	configs name=S
//	delete name=S [topic=N]           producer [id=N epoch=N]
//	move name=S [partition=N] [from=N] [to=N]
//	elect [name=S] [partition=N] node=N
//	remove node=N
//	user name=S salt=N                password name=S salt=N
//	drop name=S                       users: a list of them, with their salts, and ACLs
//	allow principal=S name=S          forget [principal=S] [name=S]
//	changed [group=N] index=N voters=N,... [learners=N,...]
//	wait minutes=N                    commands once a minute, which do nothing
//	restart                           into another state, by Save and Restore
//	show                              nodes, partitions, what the meta group wants
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) { runFile(t, file) })
	}
}

func runFile(t *testing.T, file string) {
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got, story := &bytes.Buffer{}, &story{t: t, state: founded(t)}
	lines := bufio.NewScanner(bytes.NewReader(want))
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "  ") {
			continue
		}
		fmt.Fprintln(got, line)
		if line != "" && !strings.HasPrefix(line, "#") {
			answer := strings.TrimSuffix(story.run(line), "\n")
			fmt.Fprintf(got, "  %s\n", strings.ReplaceAll(answer, "\n", "\n  "))
		}
	}
	if *rewrite {
		if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if got.String() != string(want) {
		t.Errorf("%s answers differently; see with go test -rewrite and git diff:\n%s", file, got)
	}
}

type story struct {
	t     *testing.T
	state *State
	now   api.Milliseconds
}

func (s *story) run(line string) string {
	name, rest, _ := strings.Cut(line, " ")
	args := arguments{s.t, map[string]string{}}
	for _, field := range strings.Fields(rest) {
		key, value, _ := strings.Cut(field, "=")
		args.values[key] = value
	}
	switch name {
	case "wait":
		for range args.number("minutes") {
			s.now += idle.MaxStep
			s.state.Apply(encode(s.t, s.now, removeNode(999)))
		}
		return "ok"
	case "restart":
		s.state = restarted(s.t, s.state)
		return "ok"
	case "show":
		return show(s.state)
	case "users":
		return showAccess(s.state.Access())
	case "configs":
		t := s.state.TopicByName(args.values["name"])
		text := fmt.Sprint("version ", t.ConfigVersion)
		for _, c := range s.state.Configs(t) {
			text += fmt.Sprintf("\n%s=%s%s", c.Name, c.Value, marks(c.IsDefault, " (default)", false, ""))
		}
		return text
	}
	var silent []api.NodeID
	for _, node := range args.list("silent") {
		silent = append(silent, api.NodeID(node))
	}
	data, err := Encode(Tag{Origin: 1, Number: 1}, s.now, args.request(name), silent...)
	if err != nil {
		return err.Error()
	}
	return describe(s.state.Apply(data).Response)
}

// describe gives an answer in a form of our own: protobuf's varies.
func describe(r *api.Response) string {
	if r.Error != nil {
		return r.Error.Error()
	}
	switch body := r.Body.(type) {
	case *api.Response_CreateTopic:
		return fmt.Sprint("topic ", body.CreateTopic.Id)
	case *api.Response_InitProducer:
		return fmt.Sprintf("producer %d epoch %d", body.InitProducer.ProducerId, body.InitProducer.Epoch)
	case *api.Response_Join:
		return fmt.Sprintf("node %d of cluster %s, meta replica %d", body.Join.NodeId, body.Join.ClusterId, body.Join.MetaReplica)
	}
	return "ok"
}

func show(s *State) string {
	var b strings.Builder
	for _, n := range s.Nodes() {
		fmt.Fprintf(&b, "node %d %s%s\n", n.ID, n.Address, marks(n.Voter, " voter", n.Removing, " removing"))
	}
	for _, t := range s.Topics() {
		for _, p := range t.Partitions {
			fmt.Fprintf(&b, "%s group %d:", p, p.Group)
			for _, r := range p.Replicas {
				fmt.Fprintf(&b, " %d@%d%s", r.ID, r.Node, marks(r.Adding, "+", r.Removing, "-"))
			}
			fmt.Fprintln(&b)
		}
	}
	voters, learners := s.MetaConfig()
	fmt.Fprintf(&b, "meta wants voters %v learners %v", voters, learners)
	if s.PreferredMeta() != 0 {
		fmt.Fprint(&b, " led by node ", s.PreferredMeta())
	}
	return b.String()
}

func showAccess(v access.View) string {
	text := fmt.Sprint("version ", v.Version)
	for _, u := range v.Users {
		text += fmt.Sprintf("\n%s salt %d", u.Principal(), u.Salt[0])
	}
	for _, r := range v.Rules {
		text += "\n" + r.String()
	}
	return text
}

func marks(first bool, one string, second bool, two string) string {
	if !first {
		one = ""
	}
	if !second {
		two = ""
	}
	return one + two
}
