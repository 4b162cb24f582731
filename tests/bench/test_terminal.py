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
