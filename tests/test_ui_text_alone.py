"""The page of an answer that looked at no frame."""

from assistant.ui import cards
from assistant.ui.export import as_json, as_markdown, read_conversation
from assistant.ui.visitor import Asked, Told
from fakes import ScriptedModel

from assistant.model.features import FeatureStore
from assistant.vqa.assistants import Assistant


def test_an_answer_from_text_alone_is_shown_and_kept(tmp_path):
    session = Assistant(ScriptedModel(), FeatureStore(tmp_path)).open(dialogue="ANN: Hello.")
    found = session.ask("Who speaks?").as_dict()
    turn = Asked("talk.txt", "Who speaks?", found["answer"], told=Told(found, weights=()))
    shown = cards.evidence(turn)
    assert "text alone" in shown and "dialogue: given" in shown and "va-frame" not in shown
    assert "text alone" in as_markdown([turn])
    (tmp_path / "kept.json").write_text(as_json([turn]))
    (kept,) = read_conversation(tmp_path / "kept.json")
    assert kept.told is not None and cards.evidence(kept) == shown
