package rules

import (
	"fmt"
	"go/ast"
	"go/token"
	"strings"

	"golang.org/x/tools/go/analysis"
)

const allowPrefix = "//detvet:allow"

// Allowances checks the form of the comments that allow a finding.
var Allowances = &analysis.Analyzer{
	Name: "allowances",
	Doc:  "an allowance names a rule and gives a reason",
	// It names the rules, so it is told them only when it runs.
	Run: nil,
}

func init() { Allowances.Run = checkAllowances }

func checkAllowances(pass *analysis.Pass) (any, error) {
	known := make(map[string]bool)
	for _, a := range All() {
		known[a.Name] = true
	}
	for _, f := range pass.Files {
		for _, a := range allowances(pass, f) {
			switch {
			case !known[a.rule]:
				pass.Reportf(a.pos, "there is no rule %q to allow", a.rule)
			case a.reason == "":
				pass.Reportf(a.pos, "an allowance needs a reason: %s %s <why it does no harm here>", allowPrefix, a.rule)
			}
		}
	}
	return nil, nil
}

// allowance is one comment that allows a finding.
type allowance struct {
	pos          token.Pos
	line         int
	rule, reason string
	used         bool
}

func allowances(pass *analysis.Pass, f *ast.File) []*allowance {
	var list []*allowance
	for _, group := range f.Comments {
		for _, c := range group.List {
			text, ok := strings.CutPrefix(c.Text, allowPrefix)
			if !ok {
				continue
			}
			rule, reason, _ := strings.Cut(strings.TrimSpace(text), " ")
			list = append(list, &allowance{
				pos: c.Pos(), line: pass.Fset.Position(c.Pos()).Line,
				rule: rule, reason: strings.TrimSpace(reason),
			})
		}
	}
	return list
}

// findings reports what a rule finds in a file, but for what is allowed there.
type findings struct {
	pass    *analysis.Pass
	allowed []*allowance
	// said is each line's last finding, so that one is not repeated there.
	said map[int]string
}

func newFindings(pass *analysis.Pass, f *ast.File) *findings {
	found := &findings{pass: pass, said: make(map[int]string)}
	for _, a := range allowances(pass, f) {
		if a.rule == pass.Analyzer.Name {
			found.allowed = append(found.allowed, a)
		}
	}
	return found
}

func (found *findings) report(at ast.Node, format string, args ...any) {
	line := found.pass.Fset.Position(at.Pos()).Line
	for _, a := range found.allowed {
		if a.reason != "" && (a.line == line || a.line == line-1) {
			a.used = true
			return
		}
	}
	text := fmt.Sprintf(format, args...)
	if found.said[line] != text {
		found.said[line] = text
		found.pass.Report(analysis.Diagnostic{Pos: at.Pos(), Message: text})
	}
}

// close reports the allowances that allowed nothing.
func (found *findings) close() {
	for _, a := range found.allowed {
		if a.reason != "" && !a.used {
			found.pass.Reportf(a.pos, "nothing here breaks the rule %s; remove the allowance", a.rule)
		}
	}
}
