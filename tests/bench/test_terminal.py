"""What is printed stays readable where it is wide."""

from rich.console import Console

from flatqat.bench.terminal import plain_table


def test_long_names_go_over_lines_and_leave_the_numbers_whole():
    table = plain_table("layer", "bits", "codes", left=("layer",), wrapped=("layer",))
    table.add_row("encoder.layers." * 10, "4", "12345")
    console = Console(width=60)
    with console.capture() as capture:
        console.print(table)
    text = capture.get()
    assert "12345" in text
    assert "…" not in text
    assert text.count("encoder") == 10


def test_bits_of_many_layers_do_not_squeeze_the_methods():
    table = plain_table("method", "bits", "ID", left=("method", "bits"))
    table.add_row("lookahead 2x steps", "w2a4@apot (keep last; stage3.*=w8a4)", "82.0 ±5.4")
    console = Console(width=50)
    with console.capture() as capture:
        console.print(table)
    text = capture.get()
    assert "lookahead 2x steps" in text
    assert "82.0 ±5.4" in text
    assert "…" not in text
