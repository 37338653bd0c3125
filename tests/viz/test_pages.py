"""The HTML around charts: one policy for every page, nothing from outside, every text escaped."""

from __future__ import annotations

import re

from mmreason.viz.pages import load_templates, render_document, render_fragment

EVIL = "</title><script>alert(1)</script>\x1b"


def test_a_document_forbids_everything_but_its_own_styles_and_pictures() -> None:
    templates = load_templates("mmreason", "viz")
    page = render_document(templates, "style.html", {}, title=EVIL, width_rem=40)
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules == {
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": "'unsafe-inline'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    assert "<script" not in page and "&lt;script&gt;" in page and "\x1b" not in page


def test_rules_of_a_fragment_reach_nothing_outside_it() -> None:
    templates = load_templates("mmreason", "viz")
    fragment = render_fragment(templates, "style.html", {}, styles=("style.html",))
    own, rest = fragment[: fragment.rindex("<style>")], fragment[fragment.rindex("<style>") :]
    assert "<html" not in fragment and len(re.findall("<style>", own)) == 3
    rules = re.findall(r"([^{};]+)\{", "".join(re.findall(r"<style>(.*?)</style>", own, re.DOTALL)))
    selectors = [part.strip() for rule in rules for part in re.split(r",(?![^(]*\))", rule)]
    assert all(s.startswith((".mmr.mmr.mmr", "@media")) for s in selectors)
    assert ".mmr.mmr.mmr" not in rest, "a body is left as it is"
