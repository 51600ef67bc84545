//! Colours, shapes and the small things that all parts of the window share: those of the hub's page.

use crate::devices::window::controls::egui::{
    self, Button, Color32, Context, CornerRadius, FontFamily, FontId, Frame, Margin, Rect, Response, RichText, Sense,
    Stroke, TextStyle, TextureHandle, Ui, Vec2, Visuals, pos2, vec2,
};

pub const PAGE: Color32 = Color32::from_rgb(0x0e, 0x12, 0x11);
pub const PANEL: Color32 = Color32::from_rgb(0x17, 0x1d, 0x1b);
pub const FIELD: Color32 = Color32::from_rgb(0x0b, 0x0f, 0x0e);
pub const LINE: Color32 = Color32::from_rgb(0x2a, 0x33, 0x30);
pub const TEXT: Color32 = Color32::from_rgb(0xe6, 0xec, 0xea);
pub const QUIET: Color32 = Color32::from_rgb(0x96, 0xa3, 0x9f);
pub const ACCENT: Color32 = Color32::from_rgb(0x2d, 0xd4, 0xbf);
pub const ON_ACCENT: Color32 = Color32::from_rgb(0x06, 0x20, 0x1c);
pub const WARM: Color32 = Color32::from_rgb(0xfb, 0xbf, 0x24);
pub const BAD: Color32 = Color32::from_rgb(0xfb, 0x71, 0x85);
pub const BLUE: Color32 = Color32::from_rgb(0x7a, 0xa2, 0xff);

/// Of a row.
const PICTURE: Vec2 = vec2(71.0, 40.0);
const ROUND: CornerRadius = CornerRadius::same(6);

pub fn apply(ctx: &Context) {
    ctx.set_theme(egui::Theme::Dark);
    ctx.all_styles_mut(|style| {
        let font = |size| FontId::new(size, FontFamily::Proportional);
        for (kind, size) in
            [(TextStyle::Body, 14.5), (TextStyle::Button, 14.5), (TextStyle::Small, 12.0), (TextStyle::Heading, 21.0)]
        {
            style.text_styles.insert(kind, font(size));
        }
        style.spacing.item_spacing = vec2(8.0, 7.0);
        style.spacing.button_padding = vec2(11.0, 5.0);
        style.spacing.interact_size.y = 27.0;
        style.visuals = visuals();
    });
}

fn visuals() -> Visuals {
    let mut visuals = Visuals::dark();
    (visuals.panel_fill, visuals.window_fill, visuals.extreme_bg_color) = (PAGE, PANEL, FIELD);
    visuals.override_text_color = None;
    visuals.weak_text_color = Some(QUIET);
    visuals.selection.bg_fill = Color32::from_rgb(0x14, 0x5a, 0x52);
    visuals.selection.stroke = Stroke::new(1.0, ACCENT);
    let widgets = &mut visuals.widgets;
    for (widget, fill, line) in [
        (&mut widgets.noninteractive, PANEL, LINE),
        (&mut widgets.inactive, Color32::from_rgb(0x21, 0x2a, 0x27), LINE),
        (&mut widgets.hovered, Color32::from_rgb(0x2b, 0x36, 0x33), ACCENT),
        (&mut widgets.active, Color32::from_rgb(0x33, 0x41, 0x3d), ACCENT),
        (&mut widgets.open, Color32::from_rgb(0x2b, 0x36, 0x33), LINE),
    ] {
        (widget.bg_fill, widget.weak_bg_fill, widget.corner_radius, widget.expansion) = (fill, fill, ROUND, 0.0);
        widget.bg_stroke = Stroke::new(1.0, line);
        widget.fg_stroke = Stroke::new(1.0, TEXT);
    }
    visuals
}

/// A surface on the page.
pub fn card() -> Frame {
    Frame::NONE.fill(PANEL).stroke(Stroke::new(1.0, LINE)).corner_radius(10).inner_margin(Margin::same(14))
}

pub fn bar() -> Frame {
    Frame::NONE.fill(PANEL).inner_margin(Margin::symmetric(12, 8))
}

/// A line that tells of trouble.
pub fn strip(colour: Color32) -> Frame {
    Frame::NONE.fill(colour.gamma_multiply(0.13)).inner_margin(Margin::symmetric(14, 7))
}

/// The button that one most likely wants.
pub fn primary(ui: &mut Ui, text: &str, width: f32) -> Response {
    let button = Button::new(RichText::new(text).color(ON_ACCENT).strong()).fill(ACCENT);
    let response = ui.add_sized(vec2(width, 34.0), button);
    focus_ring(ui, &response);
    response
}

/// One of several choices that stand side by side.
pub fn choice(ui: &mut Ui, chosen: bool, text: &str) -> Response {
    let colour = if chosen { ACCENT } else { TEXT };
    let fill = if chosen { Color32::from_rgb(0x12, 0x35, 0x31) } else { PANEL };
    ui.add(Button::new(RichText::new(text).color(colour)).fill(fill))
}

/// A whole row that can be pressed, as wide as there is room: a picture where there may be one, a title, and a quiet line.
pub fn row(ui: &mut Ui, picture: Option<Option<TextureHandle>>, title: &str, quiet: &str) -> Response {
    let left = if picture.is_some() { 26.0 + PICTURE.x } else { 14.0 };
    let width = ui.available_width();
    let text = |size: f32, colour, text: &str| {
        ui.painter().layout(text.to_string(), FontId::proportional(size), colour, (width - left - 10.0).max(40.0))
    };
    let (title_text, quiet_text) = (text(15.5, TEXT, title), text(12.5, QUIET, quiet));
    let below = 10.0 + title_text.size().y;
    let height = (below + quiet_text.size().y + 8.0).max(52.0);
    let (area, response) = ui.allocate_exact_size(vec2(width, height), Sense::click());
    let visuals = ui.style().interact(&response);
    let stroke = if response.has_focus() { Stroke::new(2.0, ACCENT) } else { visuals.bg_stroke };
    let painter = ui.painter().with_clip_rect(area);
    painter.rect(area.shrink(1.0), ROUND, PANEL, stroke, egui::StrokeKind::Inside);
    if let Some(picture) = picture {
        let place = Rect::from_min_size(area.left_top() + vec2(6.0, 6.0), PICTURE);
        painter.rect_filled(place, 4, PAGE);
        if let Some(texture) = picture {
            let shown = texture.size_vec2() * (PICTURE / texture.size_vec2()).min_elem();
            let place = Rect::from_center_size(place.center(), shown);
            painter.image(texture.id(), place, Rect::from_min_max(pos2(0.0, 0.0), pos2(1.0, 1.0)), Color32::WHITE);
        }
    }
    painter.galley(area.left_top() + vec2(left, 8.0), title_text, TEXT);
    painter.galley(area.left_top() + vec2(left, below), quiet_text, QUIET);
    response.widget_info(|| egui::WidgetInfo::labeled(egui::WidgetType::Button, true, title));
    response
}

/// Filled buttons hide egui's own mark of the focus, and a slider hardly has one.
pub fn focus_ring(ui: &Ui, response: &Response) {
    if response.has_focus() {
        let area = response.rect.expand(2.0);
        ui.painter().rect_stroke(area, 8, Stroke::new(2.0, TEXT), egui::StrokeKind::Outside);
    }
}

/// Scrolls to what has just got the focus.
pub fn follow_focus(ui: &Ui) {
    let focused = ui.memory(|memory| memory.focused()).and_then(|id| ui.ctx().read_response(id));
    if let Some(widget) = focused.filter(Response::gained_focus) {
        widget.scroll_to_me(None);
    }
}

pub fn quiet(text: impl Into<String>) -> RichText {
    RichText::new(text).color(QUIET)
}

pub fn nothing_focused(ui: &Ui) -> bool {
    ui.memory(|memory| memory.focused().is_none())
}
